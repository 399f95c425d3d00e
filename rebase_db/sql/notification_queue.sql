-- How full the server's queue of notifications is, from 0 to 1. Asking also clears what every listener has read.
SELECT pg_notification_queue_usage()
