#!/bin/sh
# The password's file -> Redis's own way of being told -> the server; the password is in no argument and no variable.
set -eu
umask 077
password=$(cat "${REDIS_PASSWORD_FILE:-/run/secrets/precedent/redis_password}")
printf 'requirepass %s\n' "$password" > "${TMPDIR:-/tmp}/password.conf"
unset password
exec redis-server "${REDIS_CONF:-/etc/precedent-redis/redis.conf}"
