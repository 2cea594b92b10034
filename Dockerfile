# Two stages: what installs is left behind. The second runs as nobody in particular, on a root file system that may be read-only.
FROM python:3.11-slim-bookworm AS build
# optional tools to join, as pip names them: --build-arg EXTRAS="mlflow psycopg[binary] sqlalchemy"
ARG EXTRAS=""
WORKDIR /build
COPY requirements.txt requirements-extra.txt ./
RUN python -m venv /opt/venv
RUN /opt/venv/bin/python -m pip install --no-cache-dir -r requirements.txt
RUN test -z "$EXTRAS" || /opt/venv/bin/python -m pip install --no-cache-dir -c requirements-extra.txt $EXTRAS

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 greenlight \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin greenlight \
    && install --directory --owner=10001 --group=10001 /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/greenlight
COPY app.py LICENSE README.md ./
COPY .streamlit .streamlit
COPY api api
COPY core core
COPY pages pages
COPY samples samples
COPY storage storage
ENV PATH=/opt/venv/bin:$PATH \
    GREENLIGHT_HOME=/data \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8501)}/healthz', timeout=4)"]
CMD ["sh", "-c", "exec streamlit run app.py --server.address 0.0.0.0 --server.port ${PORT:-8501} --server.headless true"]
