"""A Flink cluster on loopback: a JobManager, TaskManagers and Beam's job server, started and ended
here. Each is a session of its own, so that a TaskManager dies with its workers, as a machine does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

OPENED = (
    "java.lang", "java.util", "java.lang.invoke", "java.nio", "sun.nio.ch", "java.time", "java.net",
    "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
    "java.text", "java.lang.reflect", "java.io", "sun.net.util",
)  # fmt: skip
"""What Flink 1.16 looks into; Java 17 asks for each."""

TASK_MANAGER_MEMORY = {
    "network.min": 32, "network.max": 32, "managed.size": 64, "task.heap.size": 192,
    "task.off-heap.size": 64, "framework.heap.size": 128, "framework.off-heap.size": 128,
    "jvm-metaspace.size": 128, "jvm-overhead.min": 128, "jvm-overhead.max": 128,
}  # fmt: skip
LOG4J = """rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
appender.console.name=console
appender.console.type=Console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1} %m%n
"""
SLOTS = 2


class FlinkCluster:
    """Use it with `with`.

    jars: as `tests.scenarios.cluster.fetch` left them. folder: for logs and state.
    """

    def __init__(self, jars: Path, folder: Path) -> None:
        self._jars, self._folder = jars, folder
        self._started: list[subprocess.Popen] = []
        self.task_managers: list[subprocess.Popen] = []
        self.rest, self._rpc, *self._job_ports = _free_ports(5)
        self.job_endpoint = f"localhost:{self._job_ports[0]}"

    def __enter__(self) -> FlinkCluster:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            kill_session(process)

    def _start(self) -> None:
        conf = self._folder / "conf"
        conf.mkdir(parents=True)
        (conf / "log4j.properties").write_text(LOG4J)
        (conf / "flink-conf.yaml").write_text(
            "".join(f"{name}: {value}\n" for name, value in self._settings().items())
        )
        entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self._java("flink", entry, ["--configDir", str(conf), "--executionMode", "cluster"])
        wait_for(lambda: self.overview() is not None, 90, "the JobManager")
        self.task_managers = [self.start_task_manager(), self.start_task_manager()]
        wait_for(lambda: self.overview()["taskmanagers"] == 2, 90, "two TaskManagers")
        names = ("job", "artifact", "expansion")
        ports = [
            word
            for name, port in zip(names, self._job_ports, strict=True)
            for word in (f"--{name}-port", str(port))
        ]
        where = ["--flink-master", f"localhost:{self.rest}", "--job-host", "localhost"]
        state = ["--artifacts-dir", str(self._folder / "artifacts")]
        driver = "org.apache.beam.runners.flink.FlinkJobServerDriver"
        self._java("job-server", driver, [*where, *ports, *state])
        wait_for(lambda: _listens(self._job_ports[0]), 60, "the job server")

    def start_task_manager(self) -> subprocess.Popen:
        number = len(self._started)
        words = ["--configDir", str(self._folder / "conf")]
        values = {"resource-id": f"tm{number}", "cpu.cores": "1.0"}
        values |= {f"memory.{k}": f"{mib << 20}b" for k, mib in TASK_MANAGER_MEMORY.items()}
        for name, value in values.items():
            words += ["-D", f"taskmanager.{name}={value}"]
        entry = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        return self._java("flink", entry, words)

    def overview(self) -> dict | None:
        return self._ask("overview")

    def restarts(self) -> int:
        """Attempts beyond the first of any piece of work of any job, as Flink counts them."""
        total = 0
        for job in (self._ask("jobs/overview") or {"jobs": []})["jobs"]:
            for vertex in self._ask(f"jobs/{job['jid']}")["vertices"]:
                found = self._ask(f"jobs/{job['jid']}/vertices/{vertex['id']}")
                total += sum(task["attempt"] for task in found["subtasks"])
        return total

    def _ask(self, what: str) -> dict | None:
        try:
            with urllib.request.urlopen(f"http://localhost:{self.rest}/{what}", timeout=5) as page:
                return json.load(page)
        except OSError:
            return None

    def _settings(self) -> dict[str, object]:
        return {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": self._rpc,
            "jobmanager.bind-host": "localhost",
            "jobmanager.memory.process.size": "768m",
            "taskmanager.host": "localhost",
            "taskmanager.bind-host": "localhost",
            "taskmanager.numberOfTaskSlots": SLOTS,
            "cluster.evenly-spread-out-slots": "true",
            "rest.address": "localhost",
            "rest.port": self.rest,
            "rest.bind-port": self.rest,
            "rest.bind-address": "localhost",
            "heartbeat.timeout": 10000,
            "heartbeat.interval": 2000,
            "restart-strategy": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 10,  # together longer than heartbeat.timeout,
            "restart-strategy.fixed-delay.delay": "3 s",  # or they all go to the dead machine
            "io.tmp.dirs": self._folder,
        }

    def _java(self, jars: str, entry: str, words: list[str]) -> subprocess.Popen:
        path = ":".join(str(jar) for jar in sorted((self._jars / jars).glob("*.jar")))
        opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
        logs = f"-Dlog4j.configurationFile=file:{self._folder}/conf/log4j.properties"
        command = ["java", "-Xmx400m", "-XX:MaxDirectMemorySize=300m", *opened, logs, "-cp", path]
        log = self._folder / f"{len(self._started)}-{entry.rpartition('.')[2]}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [*command, entry, *words], stdout=sink, stderr=sink, start_new_session=True
            )
        self._started.append(process)
        return process


def kill_session(process: subprocess.Popen) -> None:
    """Kill a process and all that it started, at once; no word of goodbye."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(is_so: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
