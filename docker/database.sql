-- Run once by the image, as the superuser, when it makes the cluster.
-- The workers' role owns its database and nothing else. It gets the password; the superuser's is removed, so that the
-- superuser can come in from inside the container only.
\getenv password POSTGRES_PASSWORD
CREATE ROLE rebase LOGIN PASSWORD :'password';
-- For auditors and BI tools, whose logins are made in it; what it may read, `rebase db upgrade` grants.
CREATE ROLE rebase_reader NOLOGIN;
CREATE DATABASE rebase OWNER rebase;
ALTER ROLE CURRENT_USER PASSWORD NULL;
-- So that `rebase status` sees whose transaction holds up vacuum.
GRANT pg_read_all_stats TO rebase;
\connect rebase
CREATE EXTENSION vector;
