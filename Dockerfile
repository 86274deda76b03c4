# Two stages: what installs stays behind, so that the image has neither a compiler nor pip's cache.
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/tilores
WORKDIR /build
COPY requirements requirements
RUN /opt/tilores/bin/pip install -r requirements/serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY tilores_core tilores_core
COPY plugins plugins
RUN /opt/tilores/bin/pip install -c requirements/dev.txt ".[langsmith,postgres,redis]"

FROM python:3.11-slim
LABEL org.opencontainers.image.title="tilores-core"
RUN useradd --system --uid 10001 --home-dir /data tilores \
 && install --directory --owner tilores --group tilores --mode 0700 /data
COPY --from=build /opt/tilores /opt/tilores
WORKDIR /app
COPY plugins.toml ./
ENV PATH=/opt/tilores/bin:$PATH PYTHONUNBUFFERED=1 \
    TILORES_HOST=0.0.0.0 TILORES_DATA_DIR=/data TILORES_LOG_FORMAT=json PORT=8000
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/ready', timeout=4)"]
CMD ["tilores", "serve"]
