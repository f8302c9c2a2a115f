#!/bin/sh
# Installed as pulumi-language-python beside a Pulumi built from source. The engine starts it in the project's
# folder; it finds a Python that has the SDK and hands over to language_host.pyz. Which Python then runs the
# *program* is decided there, per request (engine/language_host/environments.py).
set -eu

bin=$(dirname "$(readlink -f "$0")")

# Prints the first of its arguments that is a Python with the SDK.
with_sdk() {
    for python in "$@"; do
        if [ -n "$python" ] && "$python" -c 'import importlib.util as u, sys
sys.exit(not (u.find_spec("grpc") and u.find_spec("pulumi")))' 2>/dev/null; then
            printf '%s\n' "$python"
            return 0
        fi
    done
    return 1
}

# Looks for the project's own environment at and above the folder that the engine starts its plugins in.
of_project() {
    folder=$PWD
    while :; do
        named=
        if [ -f "$folder/Pulumi.yaml" ]; then
            named=$(sed -n 's/^[[:space:]]*virtualenv:[[:space:]]*//p' "$folder/Pulumi.yaml" | head -n 1 | tr -d "\"'")
        fi
        case $named in
            /*) named=$named/bin/python ;;
            ?*) named=$folder/$named/bin/python ;;
        esac
        with_sdk "$named" "$folder/.venv/bin/python" && return 0
        [ "$folder" != / ] || return 1
        folder=$(dirname "$folder")
    done
}

if ! python=$(
    with_sdk "${LIFTOFF_PYTHON:-}" || of_project ||
        with_sdk "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" "$(command -v python3 || true)"
); then
    cat >&2 <<MESSAGE
pulumi-language-python: no Python with the packages pulumi and grpcio. Looked at LIFTOFF_PYTHON (${LIFTOFF_PYTHON:-not set}),
at runtime.options.virtualenv and .venv of the project at or above $PWD, at VIRTUAL_ENV, and at python3 on PATH.
Run \`make setup\` in Liftoff, or set LIFTOFF_PYTHON to such a Python.
MESSAGE
    exit 1
fi
exec "$python" "$bin/../lib/language_host.pyz" --executor "$bin/pulumi-language-python-exec" "$@"
