"""The whole product on one machine: a PACS, the gateway, a study sent through, proven and shown."""
