#!/usr/bin/env bash
# What the image runs: takes secrets from files, waits for what a part needs, and becomes the part.
#
#   entrypoint.sh secrets          make the secrets that are not given, once
#   entrypoint.sh init             migrate the database; make the first login, pools and connections
#   entrypoint.sh worker …         a Celery worker, by this host's name
#   entrypoint.sh bucket NAME      make a bucket
#   entrypoint.sh sandbox …        the sandbox of both APIs
#   entrypoint.sh healthy PART     tell by the exit status whether a part of this container works
#   entrypoint.sh airflow …        one command of Airflow, such as: airflow pools list
#   entrypoint.sh api-server …     any other word: this part of Airflow
set -euo pipefail
umask 0002

#: Seconds that the database and the broker get to answer.
WAIT_SECONDS="${WAIT_SECONDS:-120}"
SECRETS="${SECRETS:-/secrets}"
GIVEN="${GIVEN:-/given}"

say() { printf 'entrypoint: %s\n' "$*" >&2; }
refuse() {
    say "$*"
    exit 78 # EX_CONFIG of sysexits.h
}

# --- secrets ---------------------------------------------------------------------------------------------------------

random_key() { python -c 'import secrets; print(secrets.token_urlsafe(32))'; }
random_fernet_key() { python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'; }

# Keep one secret as a file: from the folder of given files, else the variable, else as it was, else generated.
keep_secret() {
    local name="$1" file="${SECRETS}/$2" mode="$3" generate="${4:-random_key}" variable="${1^^}" value
    if [[ -e "${GIVEN}/${name}" ]]; then
        [[ -r "${GIVEN}/${name}" ]] || refuse "secret ${name}: user $(id -u) may not read the file that is given"
        value="$(<"${GIVEN}/${name}")"
        [[ -n "${value}" ]] || refuse "secret ${name}: the file that is given is empty"
    elif [[ -n "${!variable:-}" ]]; then
        value="${!variable}"
    elif [[ -s "${file}" ]]; then
        say "secret ${name}: kept"
        return
    else
        value="$("${generate}")"
        say "secret ${name}: generated"
    fi
    if [[ "${value}" =~ [^[:graph:]] || "${value}" == *[\"\\\']* ]]; then
        refuse "secret ${name} holds a space, a quote, a backslash or a line break: give another one"
    fi
    place_secret "${file}" "${mode}" <<<"${value}"
}

# Whole or not at all, and never open to more users than its mode says.
place_secret() {
    mkdir -p "$(dirname "$1")"
    (umask 0277 && rm -f "$1.new" && cat >"$1.new")
    chmod "$2" "$1.new"
    mv -f "$1.new" "$1"
}

make_secrets() {
    # In a folder that is closed nothing can be told from what isn't given.
    [[ ! -e "${GIVEN}" || (-d "${GIVEN}" && -r "${GIVEN}" && -x "${GIVEN}") ]] ||
        refuse "the folder of given secrets: user $(id -u) may not list and enter it"
    # A folder for those that have the same use for what is in it. Postgres and Redis run as users of their own.
    keep_secret postgres_password postgres/password 0444
    keep_secret redis_password redis/password 0444
    keep_secret fernet_key airflow/fernet_key 0440 random_fernet_key
    keep_secret jwt_secret jwt/jwt_secret 0440
    keep_secret api_secret_key airflow/api_secret_key 0440
    keep_secret admin_password init/admin_password 0440
    if [[ -e "${GIVEN}/connections.json" ]]; then
        [[ -r "${GIVEN}/connections.json" ]] ||
            refuse "connections.json: user $(id -u) may not read the file that is given"
        place_secret "${SECRETS}/init/connections.json" 0440 <"${GIVEN}/connections.json"
    else
        # What is no longer given is not imported over the UI's at each start.
        rm -f "${SECRETS}/init/connections.json"
    fi
}

# --- the environment of a part ---------------------------------------------------------------------------------------

# NAME_FILE names a file whose content is NAME. What a variable holds is shown only where it is a path.
take_files() {
    local variable name
    for variable in $(compgen -e); do
        case "${variable}" in
        AIRFLOW__CORE__FERNET_KEY_FILE | AIRFLOW__API__SECRET_KEY_FILE | AIRFLOW__API_AUTH__JWT_SECRET_FILE) ;;
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_FILE | AIRFLOW__CELERY__BROKER_URL_FILE) ;;
        # The connection of an id that ends in _file is JSON or an address, never a path.
        AIRFLOW_CONN_*_FILE) [[ "${!variable}" == /* ]] || continue ;;
        DATABASE_PASSWORD_FILE | BROKER_PASSWORD_FILE | ADMIN_PASSWORD_FILE) ;;
        AWS_ACCESS_KEY_ID_FILE | AWS_SECRET_ACCESS_KEY_FILE | AWS_SESSION_TOKEN_FILE) ;;
        *) continue ;;
        esac
        name="${variable%_FILE}"
        [[ -z "${!name:-}" ]] || refuse "both ${name} and ${variable} are set: give one of them"
        [[ "${!variable}" == /* ]] || refuse "${variable}: give the whole path of a file, from / on"
        [[ -r "${!variable}" ]] || refuse "${variable}: there is no file ${!variable} that user $(id -u) may read"
        printf -v "${name}" '%s' "$(<"${!variable}")"
        [[ -n "${!name}" ]] || refuse "${variable}: the file ${!variable} is empty"
        export "${name?}"
        unset "${variable}"
    done
}

in_url() { python -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.stdin.readline().rstrip("\n"), safe=""))'; }

# Airflow's addresses of database and broker from host and password, where they are not given whole.
address_services() {
    local password
    if [[ -z "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN:-}" ]]; then
        need DATABASE_PASSWORD
        password="$(in_url <<<"${DATABASE_PASSWORD:?}")"
        export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql+psycopg2://${DATABASE_USER:-airflow}:${password}@${DATABASE_HOST:=postgres}:${DATABASE_PORT:=5432}/${DATABASE_NAME:-airflow}"
    fi
    if [[ -z "${AIRFLOW__CELERY__BROKER_URL:-}" ]]; then
        need BROKER_PASSWORD
        password="$(in_url <<<"${BROKER_PASSWORD:?}")"
        export AIRFLOW__CELERY__BROKER_URL="redis://:${password}@${BROKER_HOST:=redis}:${BROKER_PORT:=6379}/0"
    fi
    unset DATABASE_PASSWORD BROKER_PASSWORD
}

need() {
    [[ -n "${!1:-}" ]] || refuse "$1 is not given: set it, or ${1}_FILE to a file that holds it"
}

# The API server's address for the other parts: all that it has lies below the path of the one that browsers use.
address_api_server() {
    local path="${AIRFLOW__API__BASE_URL:-}"
    path="${path#*://}/"
    path="/${path#*/}"
    while [[ "${path}" == */ ]]; do path="${path%/}"; done
    API_SERVER="${API_SERVER:-http://localhost:8080}${path}"
    export AIRFLOW__CORE__EXECUTION_API_SERVER_URL="${AIRFLOW__CORE__EXECUTION_API_SERVER_URL:-${API_SERVER}/execution/}"
}

prepare() {
    take_files
    address_api_server
    # Parts that made keys of their own would not understand each other. The key to connections is for all that use the
    # database; the one to logs for the API server, which asks for them, and for workers and triggerer, which hand out.
    need AIRFLOW__CORE__FERNET_KEY
    need AIRFLOW__API__SECRET_KEY
    # Tokens of users and tasks. The APIs that triggerer and dag-processor have in their own processes check none.
    case "$1" in
    api-server | scheduler) need AIRFLOW__API_AUTH__JWT_SECRET ;;
    *) ;;
    esac
    address_services
}

# --- waiting ---------------------------------------------------------------------------------------------------------

# Wait until something listens at the host and port of an address.
wait_for() {
    local what="$1" host port deadline=$((SECONDS + WAIT_SECONDS))
    read -r host port < <(python -c '
import sys, urllib.parse
url = urllib.parse.urlsplit(sys.stdin.readline().strip())
ports = dict(redis=6379, rediss=6379, amqp=5672, amqps=5671, mysql=3306, postgres=5432, postgresql=5432)
is_list = set(";,") & set(url.netloc.rpartition("@")[2])
port = None if is_list else url.port or ports.get(url.scheme.partition("+")[0])
print(*(url.hostname, port) if url.hostname and port else ())' <<<"$2")
    # A file, a socket, a service without a port of its own, or several hosts of which any will do: nothing to wait for.
    [[ -n "${host}" ]] || return 0
    # shellcheck disable=SC2016 # the inner shell's own arguments
    until timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "${host}" "${port}" 2>/dev/null; do
        ((SECONDS < deadline)) ||
            refuse "${what} at ${host}:${port} has not answered for ${WAIT_SECONDS} s: is it started, is the address right?"
        sleep 1
    done
}

wait_for_database() { wait_for "the database" "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN}"; }
wait_for_broker() { wait_for "the broker" "${AIRFLOW__CELERY__BROKER_URL}"; }

# --- the first start, and every later one ----------------------------------------------------------------------------

# The trial's connections with a lake that is none of the trial's: the environment of the command wins over trial.env.
refuse_the_trial_elsewhere() {
    [[ "${CONNECTIONS_FILE:-}" == */sandbox-connections.json ]] || return 0
    case "${AIRFLOW__LOCUS_STEM__LAKE_URI:-}" in
    "" | file://*) return 0 ;;
    *) ;;
    esac
    [[ "${AWS_ENDPOINT_URL:-}" == http://s3:5000 ]] ||
        refuse "the sandbox's rows would go into ${AIRFLOW__LOCUS_STEM__LAKE_URI}: unset LAKE_URI and AWS_ENDPOINT_URL"
}

initialise() {
    local folder
    folder="$(mktemp -d)"
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '${folder}'" EXIT
    refuse_the_trial_elsewhere
    [[ -r "${AIRFLOW_HOME}/dags" && -x "${AIRFLOW_HOME}/dags" ]] ||
        refuse "the folder of DAGs, ${AIRFLOW_HOME}/dags: user $(id -u) may not list and enter it"
    airflow db migrate
    if [[ "${AIRFLOW__CORE__AUTH_MANAGER:-}" == *.FabAuthManager ]]; then
        need ADMIN_PASSWORD
        # Asked for twice on standard input, so that it is in no list of processes. A user that is there stays as it is.
        printf '%s\n%s\n' "${ADMIN_PASSWORD}" "${ADMIN_PASSWORD}" |
            airflow users create --username admin --firstname Admin --lastname Admin --role Admin \
                --email "${ADMIN_EMAIL:-admin@localhost.localdomain}"
    fi
    if [[ -f "${POOLS_FILE:=${AIRFLOW_HOME}/dags/pools.json}" ]]; then
        # A pool that is there keeps the size that somebody may have given it.
        airflow pools export "${folder}/there.json"
        python -c '
import json, sys
given, there = (json.load(open(path)) for path in sys.argv[1:3])
json.dump({name: pool for name, pool in given.items() if name not in there}, open(sys.argv[3], "w"))' \
            "${POOLS_FILE}" "${folder}/there.json" "${folder}/missing.json"
        airflow pools import "${folder}/missing.json"
    else
        say "no file ${POOLS_FILE}: make the pools in the UI, else no task of the package's DAGs can run"
    fi
    if [[ -f "${CONNECTIONS_FILE:=${SECRETS}/init/connections.json}" ]]; then
        airflow connections import --overwrite "${CONNECTIONS_FILE}"
    else
        say "no file ${CONNECTIONS_FILE}: connections come from the environment, a secrets backend or the UI"
    fi
}

# --- health ----------------------------------------------------------------------------------------------------------

ask() { curl --noproxy '*' --fail --silent --show-error --max-time 10 "$1"; }
answers() { ask "$1" >/dev/null; }

# Whether the API server has heard a part's heartbeat of late.
beats() {
    address_api_server
    ask "${API_SERVER}/api/v2/monitor/health" |
        python -c 'import json, sys; sys.exit(json.load(sys.stdin)[sys.argv[1]]["status"] != "healthy")' "$1"
}

healthy() {
    case "$1" in
    api-server) answers "http://127.0.0.1:${AIRFLOW__API__PORT:-8080}/api/v2/monitor/health" ;;
    scheduler) answers "http://127.0.0.1:${AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT:-8974}/health" ;;
    sandbox) answers "http://127.0.0.1:${SANDBOX_PORT:-8765}/_sandbox/stats" ;;
    dag-processor) beats dag_processor ;;
    triggerer) beats triggerer ;;
    worker)
        prepare worker
        # Without Airflow's own application, which would take seconds to import each time.
        CELERY_BROKER_URL="${AIRFLOW__CELERY__BROKER_URL}" \
            celery inspect --timeout 10 --destination "celery@${HOSTNAME}" ping
        ;;
    *) refuse "healthy: there is no part $1" ;;
    esac
}

# --- which part ------------------------------------------------------------------------------------------------------

case "${1:-}" in
"") refuse "which part? secrets, init, api-server, scheduler, dag-processor, triggerer, worker, sandbox, bucket, airflow" ;;
secrets) make_secrets ;;
init)
    prepare init
    wait_for_database
    initialise
    ;;
healthy) healthy "${2:-}" ;;
sandbox)
    shift
    exec python -m locus_stem.sandbox --port "${SANDBOX_PORT:-8765}" "$@"
    ;;
bucket)
    exec python -c '
import sys, boto3
boto3.client("s3").create_bucket(Bucket=sys.argv[1])' "${2:?the name of a bucket}"
    ;;
version) exec airflow version ;;
airflow)
    shift
    prepare airflow
    unset ADMIN_PASSWORD
    exec airflow "$@"
    ;;
*)
    prepare "$1"
    unset ADMIN_PASSWORD
    wait_for_database
    case "$1" in
    worker)
        shift
        wait_for_broker
        exec airflow celery worker --celery-hostname "${HOSTNAME}" "$@"
        ;;
    scheduler) wait_for_broker ;;
    api-server)
        # Without the option the server reads no header of a proxy, whoever may send it.
        [[ -z "${FORWARDED_ALLOW_IPS:-}" ]] || set -- "$@" --proxy-headers
        ;;
    *) ;;
    esac
    exec airflow "$@"
    ;;
esac
