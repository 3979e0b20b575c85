"""Results for the hospital's systems: DICOM SR for the PACS, FHIR for the EHR."""
