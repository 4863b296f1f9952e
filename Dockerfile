# The operator's image: built with hashes and wheels only, run by a base that has Python and nothing else, no shell either.
# Both bases have the same Python; pin a digest of your own choice with --build-arg BASE=...@sha256:...
ARG PYTHON=python:3.11-slim-bookworm
ARG BASE=gcr.io/distroless/python3-debian12:nonroot

FROM ${PYTHON} AS build
WORKDIR /build
COPY requirements/runtime.txt requirements/runtime.txt
RUN python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --only-binary :all: --target /opt/concertmaster --requirement requirements/runtime.txt
COPY operator/concertmaster /opt/concertmaster/concertmaster
COPY LICENSE /opt/concertmaster/LICENSE
COPY LICENSES /opt/concertmaster/LICENSES
COPY image image
RUN python image/prune.py /opt/concertmaster
RUN python image/sbom.py /opt/concertmaster requirements/runtime.txt --output /opt/concertmaster/sbom.cdx.json
RUN python image/warm.py /opt/concertmaster

FROM ${BASE}
LABEL org.opencontainers.image.title="concertmaster" \
      org.opencontainers.image.description="Kubernetes operator that measures, explains and optimises workflows" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/concertmaster /opt/concertmaster
ENV PYTHONPATH=/opt/concertmaster \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    PYTHONMALLOC=malloc \
    PYTHONNODEBUGRANGES=1 \
    FROZENLIST_NO_EXTENSIONS=1 \
    OPENBLAS_NUM_THREADS=1
# Fails the build when something the operator needs was pruned, or the two Pythons differ.
RUN ["/usr/bin/python3", "-c", "import brotli, concertmaster.controller.main, numpy, zstandard"]
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/bin/python3", "-m", "concertmaster"]
CMD ["--help"]
