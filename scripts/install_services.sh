#!/usr/bin/env bash
# Install what `make test-cluster` runs beside Airflow, where it is missing: Postgres and Redis, on Debian and its kin.
set -euo pipefail

have_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v pg_ctl >/dev/null; }
have_redis() { command -v redis-server >/dev/null; }

missing=()
have_postgres || missing+=(postgresql)
have_redis || missing+=(redis-server)
((${#missing[@]})) || exit 0

as_root=()
if (($(id -u) != 0)); then
    as_root=(sudo --non-interactive)
fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    echo "Install the servers of Postgres and Redis first: as root, apt-get install ${missing[*]} (or your system's packages)." >&2
    echo "They need not run: the tests start their own, on free ports of loopback." >&2
    exit 1
fi

# Debian would make a cluster of its own and start both at once: neither is wanted.
policy=/usr/sbin/policy-rc.d
if [[ ! -e "${policy}" ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "${policy}" >/dev/null
    "${as_root[@]}" chmod 755 "${policy}"
    trap '"${as_root[@]}" rm -f "${policy}"' EXIT
fi
"${as_root[@]}" apt-get update --quiet --quiet
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends \
    "${missing[@]}"
