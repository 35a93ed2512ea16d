# The container image of the gateway: `make image` builds it and tries it out, `docker build .` only builds it.
#
# BUILD_IMAGE has Rust, C and C++ compilers, make and perl. RUNTIME_IMAGE has glibc, no older than the one of BUILD_IMAGE,
# and the certificates of public authorities if Kafka is to be reached by TLS. It needs no shell.
ARG BUILD_IMAGE=docker.io/library/rust:1-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

FROM ${BUILD_IMAGE} AS manifests
COPY . /source
RUN /source/scripts/image-manifests /source /manifests

FROM ${BUILD_IMAGE} AS build
WORKDIR /source
# rustc asks for the shared libgcc_s. This one comes first, and says which static libraries are the same.
RUN mkdir /static-libgcc && echo 'GROUP(-lgcc_eh -lgcc)' > /static-libgcc/libgcc_s.so
ENV RUSTFLAGS="-L native=/static-libgcc" CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=debuginfo
# The dependencies, from manifests alone: this layer holds until one of them changes.
COPY --from=manifests /manifests .
RUN cargo build --release --locked --package tidegate --features vendored
COPY . .
# The sources may be older than what was built of empty ones, and cargo goes by age.
RUN find gateway -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --package tidegate --features vendored \
    && scripts/only-glibc target/release/tidegate \
    && mkdir /state

FROM ${RUNTIME_IMAGE}
COPY --from=build /source/target/release/tidegate /usr/local/bin/tidegate
COPY LICENSE /usr/share/doc/tidegate/LICENSE
COPY config/image.toml /etc/tidegate/tidegate.toml
COPY --from=build --chown=65532:65532 /state /var/lib/tidegate
# Where OpenSSL looks that was not built for this system.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
# The configuration's relative paths start here: the log, and the key that QUIC clients know the gateway by.
WORKDIR /var/lib/tidegate
VOLUME /var/lib/tidegate
EXPOSE 4433/tcp 4433/udp 8080/tcp 9600/tcp
STOPSIGNAL SIGTERM
# Whether it works, not whether Kafka does: what is unhealthy gets restarted, and that would not bring Kafka back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/tidegate", "--config", "/etc/tidegate/tidegate.toml", "health"]
ENTRYPOINT ["/usr/local/bin/tidegate", "--config", "/etc/tidegate/tidegate.toml"]
# scripts/image adds version and revision.
LABEL org.opencontainers.image.title="Tidegate" \
      org.opencontainers.image.description="An edge ingestion gateway: WebTransport, QUIC, WebSocket and HTTPS in, Kafka or an embedded log out" \
      org.opencontainers.image.licenses="Apache-2.0"
