# docker build -t freehold .
# docker run -v freehold:/var/lib/freehold -p 8008:8008 freehold
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin freehold

FROM debian:bookworm-slim
# The number of the user stays the same in every image, so that volumes go on belonging to it.
RUN useradd --system --uid 990 --user-group --home-dir /var/lib/freehold --no-create-home freehold \
    && install --directory --mode=0700 --owner=freehold --group=freehold /var/lib/freehold
COPY --from=build /src/target/release/freehold /usr/local/bin/freehold
USER freehold
VOLUME /var/lib/freehold
EXPOSE 8008
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["freehold", "--data", "/var/lib/freehold", "status"]
# Hosts below .localhost become tenants only on listeners that other machines cannot reach; this one is reached by them.
# Add tenants with: docker exec CONTAINER freehold --data /var/lib/freehold tenant add example.org
ENTRYPOINT ["freehold", "--data", "/var/lib/freehold"]
CMD ["serve", "--listen", "0.0.0.0:8008"]
