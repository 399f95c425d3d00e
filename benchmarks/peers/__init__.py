"""Our job runner and two others on Postgres, each behind the same few calls, so that one harness measures them all."""
