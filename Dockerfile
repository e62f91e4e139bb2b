# One version of Python and of Debian. A tag can be moved: for the very same bytes each time add the
# digest that `docker buildx imagetools inspect python:3.13.16-slim-bookworm` tells,
#   make image BASE=python:3.13.16-slim-bookworm@sha256:...
ARG BASE=python:3.13.16-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE ./
COPY servicereflector servicereflector
COPY twisted twisted
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel . \
 && python -m venv --without-pip /opt/service-reflector \
 && python -m pip --python /opt/service-reflector/bin/python install --no-cache-dir /wheel/*.whl

FROM ${BASE}
ARG BASE
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="service-reflector" \
      org.opencontainers.image.description="Mirror selected Kubernetes Services from other clusters into this one" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /opt/service-reflector /opt/service-reflector
ENV PATH=/opt/service-reflector/bin:$PATH
# The plugin cache, which cannot be written later. It has to be newer than the plugins, and layers
# count in whole seconds: so it is not made where they are installed.
RUN python -c "from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))" \
 && test -s "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/twisted/plugins/dropin.cache" \
 && install -d -o 65532 -g 65532 /var/lib/service-reflector /run/service-reflector
# Where emitter.local.config/ comes into being when there is no --emitter.cert-dir.
WORKDIR /var/lib/service-reflector
# As numbers: Kubernetes cannot tell otherwise that it is not root.
USER 65532:65532
EXPOSE 6443 8080 9090
# No HEALTHCHECK: Kubernetes does not look at it. The manifests have probes.
ENTRYPOINT ["service-reflector"]
