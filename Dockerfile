# The `rebase` command, as every service of docker-compose.yml but the database and the teacher runs it.
FROM python:3.11-slim-bookworm AS build
RUN python -m venv /opt/rebase
COPY . /src
RUN --mount=type=cache,target=/root/.cache/pip /opt/rebase/bin/pip install "/src[export,hub]"

FROM python:3.11-slim-bookworm
RUN useradd --system --user-group --home-dir /var/lib/rebase rebase \
    && install -d -o rebase -g rebase /var/lib/rebase /var/lib/rebase/artifacts /var/cache/huggingface
COPY --from=build /opt/rebase /opt/rebase
COPY docker/entrypoint /usr/local/bin/entrypoint
ENV PATH=/opt/rebase/bin:$PATH \
    HOME=/var/lib/rebase \
    REBASE_HOME=/var/lib/rebase \
    HF_HOME=/var/cache/huggingface \
    PYTHONUNBUFFERED=1
ENTRYPOINT ["/usr/local/bin/entrypoint"]
CMD ["--help"]
