# The image of ilb: the static binary, and the licences of what is linked into it. `make image` builds the binary, then this, with docker or buildah;
# the context is a folder with these two for each architecture: amd64/ilb, amd64/LICENCES.txt.
FROM scratch
ARG TARGETARCH VERSION REVISION
LABEL org.opencontainers.image.title="ilb" \
      org.opencontainers.image.description="Internal TCP load balancer for Kubernetes: keeps Traefik's configuration up to date" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.vendor="ilb contributors" \
      org.opencontainers.image.url="https://github.com/ilb-dev/ilb" \
      org.opencontainers.image.source="https://github.com/ilb-dev/ilb" \
      org.opencontainers.image.documentation="https://github.com/ilb-dev/ilb/blob/main/docs/README.md" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY ${TARGETARCH}/ilb ${TARGETARCH}/LICENCES.txt /
# So that `kubectl exec POD -c ilb -- ilb status` finds it.
ENV PATH=/
# A number, because there is no /etc/passwd, and because the kubelet cannot prove a name to be another user than root.
# No bundle of authorities either: the API server's comes with the service account, Traefik's with the settings.
# Configurations of thousands of backends are large for moments: given back at once, instead of kept for the next one,
# they make 28 MB less at 10 000 backends, 30 instead of 59. (glibc; `make bench-footprint` measures with the same.)
ENV MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=65536
USER 65534:65534
EXPOSE 8081
ENTRYPOINT ["/ilb"]
