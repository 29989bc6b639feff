# The server, without TensorFlow: `make export FORMAT=onnx`, then `docker compose up --build`.
FROM python:3.13-slim
ENV PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home headstart
WORKDIR /app
COPY requirements-serve.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --requirement requirements-serve.txt
COPY headstart headstart
COPY models/exports/onnx models/exports/onnx
USER headstart
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --start-interval=1s \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# Of the container, not of the machine: compose.yaml says who reaches it.
ENTRYPOINT ["python", "-m", "headstart.serve", "--host", "0.0.0.0"]
