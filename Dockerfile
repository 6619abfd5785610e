# The PDP as a sidecar: no root, no shell needed, nothing written to disk.
#
#   docker build -t pdp .
#   docker run --read-only --cap-drop ALL --network container:GATEWAY \
#       -v "$PWD/policies:/policies:ro" pdp
#
# It listens on 127.0.0.1:7373, that is, to the gateway whose network namespace it shares (a pod
# in Kubernetes). To be asked from elsewhere, set PDP_LISTEN and PDP_TRUST_NETWORK=true.

ARG PYTHON=3.14-slim-trixie

FROM python:${PYTHON} AS build
ENV PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY pdp pdp
COPY policies policies
# The environment has no pip inside, for nobody installs anything later; and what pip installs it
# also compiles, once, here.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/pdp \
    && pip --python /opt/pdp/bin/python install "$(ls /wheels/pdp-*.whl)[grpc,basic,geo,workers]"

FROM python:${PYTHON}
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="pdp" \
      org.opencontainers.image.description="A policy decision point for gateways, on Casbin policy files" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/pdp /opt/pdp
ENV PATH=/opt/pdp/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Empty on purpose: whoever forgets to mount a policy gets an error, not somebody else's rules.
RUN mkdir /policies
WORKDIR /policies
# A number, so that Kubernetes can see by itself that it is not root.
USER 65532:65532
EXPOSE 7373 7374
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["pdp", "healthcheck"]
ENTRYPOINT ["pdp"]
CMD ["serve", "/policies"]
