"""DICOMweb (PS3.18) in front of the archive. Each part has its routes; `gateway.web.api` puts them together."""
