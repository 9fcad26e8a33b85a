"""What our manifests may say of resources whose definitions KEDA and the Prometheus operator install: schemas by hand.

Narrower than theirs on purpose: a field that is not used here is refused, so that a misspelled one is, too.
"""

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT, "minProperties": 1}


def closed(required: Schema, optional: Schema | None = None) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def resource(api: str, kind: str, spec: Schema) -> Schema:
    metadata = closed({"name": TEXT, "namespace": TEXT, "labels": LABELS})
    return closed({"apiVersion": {"const": api}, "kind": {"const": kind}, "metadata": metadata, "spec": spec})


_POLICY = closed(
    {
        "type": {"enum": ["Pods", "Percent"]},
        "value": {"type": "integer", "minimum": 1},
        "periodSeconds": {"type": "integer", "minimum": 1, "maximum": 1_800},
    }
)
_RULES = closed(
    {
        "stabilizationWindowSeconds": {"type": "integer", "minimum": 0, "maximum": 3_600},
        "policies": listed(_POLICY),
    }
)
# KEDA reads numbers and truths of a trigger from texts.
_NUMBER: Schema = {"type": "string", "pattern": "^[0-9]+$"}
_KAFKA = closed(
    {
        "bootstrapServers": {"type": "string", "pattern": r"^[a-z0-9.-]+:[0-9]+(,[a-z0-9.-]+:[0-9]+)*$"},
        "consumerGroup": TEXT,
        "topic": TEXT,
        "lagThreshold": _NUMBER,
    },
    {
        "activationLagThreshold": _NUMBER,
        "offsetResetPolicy": {"enum": ["latest", "earliest"]},
        "allowIdleConsumers": {"enum": ["true", "false"]},
        "sasl": {"enum": ["none", "plaintext", "scram_sha256", "scram_sha512"]},
        "tls": {"enum": ["enable", "disable"]},
    },
)
_SCALED_OBJECT = closed(
    {
        "scaleTargetRef": closed({"name": TEXT}, {"apiVersion": TEXT, "kind": TEXT}),
        "minReplicaCount": COUNT,
        "maxReplicaCount": COUNT,
        "triggers": listed(
            closed({"type": {"const": "kafka"}, "metadata": _KAFKA}, {"authenticationRef": closed({"name": TEXT})})
        ),
    },
    {
        "pollingInterval": COUNT,
        "cooldownPeriod": COUNT,
        "fallback": closed({"failureThreshold": COUNT, "replicas": COUNT}),
        "advanced": closed(
            {"horizontalPodAutoscalerConfig": closed({"behavior": closed({"scaleUp": _RULES, "scaleDown": _RULES})})}
        ),
    },
)
_TRIGGER_AUTHENTICATION = closed(
    {"secretTargetRef": listed(closed({"parameter": {"enum": ["username", "password"]}, "name": TEXT, "key": TEXT}))}
)
_DURATION: Schema = {"type": "string", "pattern": "^[0-9]+(ms|s|m)$"}
_POD_MONITOR = closed(
    {
        "selector": closed({"matchLabels": LABELS}),
        "podMetricsEndpoints": listed(
            closed(
                {"port": TEXT, "path": TEXT},
                {
                    "interval": _DURATION,
                    "scrapeTimeout": _DURATION,
                    "relabelings": listed(
                        closed({"sourceLabels": listed(TEXT), "targetLabel": TEXT}, {"replacement": TEXT})
                    ),
                },
            )
        ),
    }
)
SCHEMAS = {
    "ScaledObject": resource("keda.sh/v1alpha1", "ScaledObject", _SCALED_OBJECT),
    "TriggerAuthentication": resource("keda.sh/v1alpha1", "TriggerAuthentication", _TRIGGER_AUTHENTICATION),
    "PodMonitor": resource("monitoring.coreos.com/v1", "PodMonitor", _POD_MONITOR),
}
