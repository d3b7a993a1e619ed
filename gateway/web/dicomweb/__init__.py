"""DICOMweb (PS3.18) in front of the archive. Each part has its routes; `service` puts them together."""
