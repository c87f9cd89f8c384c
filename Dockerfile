# An image for each service: DEPENDENCIES names its lock file in requirements/ (base, api, worker, analysis).
FROM python:3.12-slim-bookworm AS build
WORKDIR /build
COPY requirements requirements
ARG DEPENDENCIES=base
RUN python -m venv /opt/nitamono \
    && /opt/nitamono/bin/pip install --no-cache-dir --require-hashes -r requirements/${DEPENDENCIES}.txt
COPY pyproject.toml README.md LICENSE cli.py ./
COPY settings settings
COPY telemetry telemetry
COPY console console
COPY mappings mappings
COPY ml ml
COPY queues queues
COPY monitoring monitoring
COPY cache cache
COPY events events
COPY indexer indexer
COPY experiments experiments
COPY query query
COPY calibration calibration
COPY demo demo
RUN /opt/nitamono/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin nitamono
COPY --from=build /opt/nitamono /opt/nitamono
ENV PATH=/opt/nitamono/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER nitamono
WORKDIR /tmp
CMD ["nitamono", "--help"]
