#!/bin/sh
# One node of Kafka: the properties that are mounted and the node's own -> the log formatted once -> the server.
#   KAFKA_NODE        its number            KAFKA_ADVERTISED   what clients and the others are told to connect to
#   KAFKA_CLUSTER_ID  22 letters, one for the cluster and never changed
# The clients' password enters where the log is formatted, as an argument for a second, seen inside the container alone.
# Later ones are set by kafka-configs.sh, which needs no restart (docs/operators.md).
set -eu
own=${TMPDIR:-/tmp}/server.properties
umask 077
cat "${KAFKA_PROPERTIES:-/etc/precedent-kafka/server.properties}" > "$own"
printf '\nnode.id=%s\nadvertised.listeners=%s\n' "$KAFKA_NODE" "$KAFKA_ADVERTISED" >> "$own"
password=$(cat "${KAFKA_CLIENT_PASSWORD_FILE:-/run/secrets/precedent/kafka_password}")
"${KAFKA_HOME:-/opt/kafka}/bin/kafka-storage.sh" format --ignore-formatted --cluster-id "$KAFKA_CLUSTER_ID" \
  --config "$own" --add-scram "SCRAM-SHA-512=[name=precedent,password=$password]"
unset password
exec "${KAFKA_HOME:-/opt/kafka}/bin/kafka-server-start.sh" "$own"
