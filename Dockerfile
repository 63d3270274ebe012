# The image of the Action: the tool, git, uv, and a PostgreSQL for runs without a service.
#
# The base can be replaced by one made of it, for instance with a company's certificates and package sources.
ARG BASE=debian:trixie-slim

# ---- PostgreSQL and git, unpacked ----
# As packages they bring LLVM and perl, twice the size of all the rest; what we use of them needs neither.
FROM ${BASE} AS programs
WORKDIR /work
COPY image/unpack.sh .
RUN apt-get update && sh unpack.sh /programs && rm -rf /var/lib/apt/lists/*

# ---- The tool in an environment of its own, and uv ----
FROM ${BASE} AS tool
# Versions are the distribution's, with its security updates: pinned ones vanish from the mirrors.
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /work
COPY image/uv.txt image/
RUN python3 -m venv /uv \
    && /uv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r image/uv.txt
ENV PATH=/uv/bin:$PATH \
    UV_NO_CACHE=1 \
    UV_SYSTEM_CERTS=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    VIRTUAL_ENV=/usr/local/lib/alembic-converger \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH
COPY image/requirements.txt image/build.txt image/
# Python's bytecode is made here, and never held against the sources at a start.
RUN uv venv --python /usr/bin/python3 "$VIRTUAL_ENV" \
    && uv pip install --require-hashes --compile-bytecode -r image/requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY alembic_converger alembic_converger
COPY converger converger
RUN uv pip install --no-deps --compile-bytecode --build-constraints image/build.txt . \
    # What differs from build to build, and is read by nobody.
    && rm -f "$VIRTUAL_ENV"/lib/python3*/site-packages/*.dist-info/uv_cache.json \
             "$VIRTUAL_ENV"/lib/python3*/site-packages/*.dist-info/direct_url.json
COPY entrypoint.py /usr/local/lib/alembic-converger/

# ---- The image ----
FROM ${BASE}
COPY image/dpkg.conf /etc/dpkg/dpkg.cfg.d/alembic-converger
COPY --from=programs /programs/libraries /tmp/libraries
# hadolint ignore=DL3008
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends \
        ca-certificates python3 tzdata < /tmp/libraries \
    && useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin postgres \
    && rm -rf /tmp/libraries /var/lib/apt/lists/* /var/cache/apt /var/cache/debconf/*-old /var/cache/ldconfig \
        /var/lib/dpkg/*-old /var/log/apt /var/log/*.log /etc/*- \
    # Where they were there before: dpkg leaves out only what it unpacks.
    && rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/info/*
COPY --from=programs /programs/root/ /
COPY --from=tool /uv/bin/uv /usr/local/bin/
COPY --from=tool /usr/local/lib/alembic-converger /usr/local/lib/alembic-converger
# The runner's workspace belongs to another user. This is the image's own configuration: HOME is the host's.
COPY image/gitconfig /etc/gitconfig
RUN ln -s ../lib/alembic-converger/bin/alembic-converger /usr/local/bin/alembic-converger
# The project's certificates are the image's, also for uv, which would bring its own.
ENV UV_SYSTEM_CERTS=1
# No shell: it would drop the variables of inputs with hyphens. -I: nothing of a job's PYTHON* variables counts.
# No USER: the runner's files can be anybody's. No WORKDIR: the runner sets it.
ENTRYPOINT ["/usr/local/lib/alembic-converger/bin/python", "-I", "-B", "/usr/local/lib/alembic-converger/entrypoint.py"]
