# One image for every service; the first argument selects it: backend, frontend-proxy or trace-viewer.
FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release -p cruddur && cp target/release/cruddur /usr/local/bin/cruddur

FROM debian:trixie-slim
# The CAs that verify a PostgreSQL server's certificate. Those for Honeycomb are inside the binary.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/cruddur /usr/local/bin/cruddur
USER 10001:10001
ENTRYPOINT ["cruddur"]
