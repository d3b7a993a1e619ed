"""A digital signature as PS3.15 Annex C describes it, so that a stranger's tools can check a sealed object, too."""
