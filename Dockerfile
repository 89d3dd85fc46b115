# The image of ilb: the static binary and nothing else. `make image` builds the binary, then this, with docker or buildah;
# the context is a folder with one binary per architecture: amd64/ilb, arm64/ilb.
FROM scratch
ARG TARGETARCH VERSION REVISION
LABEL org.opencontainers.image.title="ilb" \
      org.opencontainers.image.description="Internal TCP load balancer for Kubernetes: keeps Traefik's configuration true" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY ${TARGETARCH}/ilb /ilb
# So that `kubectl exec POD -c ilb -- ilb status` finds it.
ENV PATH=/
# A number, because there is no /etc/passwd, and because the kubelet cannot prove a name to be another user than root.
# No bundle of authorities either: the API server's comes with the service account, Traefik's with the settings.
USER 65534:65534
EXPOSE 8081
ENTRYPOINT ["/ilb"]
