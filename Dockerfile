# docker build -t freehold .
# docker run -v freehold:/var/lib/freehold -p 8008:8008 freehold
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin freehold

FROM debian:bookworm-slim
RUN useradd --system --home-dir /var/lib/freehold --create-home freehold
COPY --from=build /src/target/release/freehold /usr/local/bin/freehold
USER freehold
VOLUME /var/lib/freehold
EXPOSE 8008
STOPSIGNAL SIGTERM
# Hosts below .localhost become tenants only on listeners that other machines cannot reach; this one is reached by them.
# Add tenants with: docker exec CONTAINER freehold --data /var/lib/freehold tenant add example.org
ENTRYPOINT ["freehold", "--data", "/var/lib/freehold"]
CMD ["serve", "--listen", "0.0.0.0:8008"]
