#!/bin/sh
# The password's file -> its hash in the environment, which users.xml reads -> the server.
set -eu
hash=$(tr -d '\n' < /run/secrets/precedent/clickhouse_password | sha256sum | cut -d ' ' -f 1)
CLICKHOUSE_PASSWORD_SHA256=$hash exec clickhouse-server --config-file=/etc/clickhouse-server/config.xml
