"""The policy of service_made.py as Cerbos and OPA would have it, and how each is asked.

Both get it in the form that suits them best, without a pattern to try: ten thousand resource kinds
for Cerbos, which finds rules by kind and role; a data document with a key for each service and role
for OPA, which finds them by its parts of the path.
"""

from __future__ import annotations

import json
from pathlib import Path

from service_made import JSON, ROLES, ROWS, USERS, Ask, Scenario, asked, question

CERBOS_CONFIG = """
server:
  httpListenAddr: "127.0.0.1:{http}"
  grpcListenAddr: "127.0.0.1:{grpc}"
  metricsEnabled: true
storage:
  driver: disk
  disk: {{directory: "{policies}", watchForChanges: true}}
compile:
  cacheSize: {cache}
audit:
  enabled: true
  accessLogsEnabled: false
  decisionLogsEnabled: true
  backend: file
  file: {{path: "{log}"}}
telemetry:
  disabled: true
"""
CERBOS_POLICY = """\
apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: service{row}
  version: default
  rules:
    - actions: [GET, HEAD]
      effect: EFFECT_ALLOW
      roles: [role{role}]
"""
REGO = """package pdp

default allow := false

allow if {
    parts := split(trim_prefix(input.resource, "/"), "/")
    count(parts) == 3
    parts[1] == "items"
    some role in data.users[input.subject]
    input.action in data.pages[parts[0]][role]
}
"""


def write_cerbos(place: Path, http: int, grpc: int) -> Path:
    """The configuration file; the policies are beside it, one file for each kind of resource."""
    policies = place / "policies"
    policies.mkdir(parents=True)
    for row in range(ROWS):
        text = CERBOS_POLICY.format(row=row, role=row % ROLES)
        (policies / f"service{row}.yaml").write_text(text)
    config = place / "cerbos.yaml"
    log = place / "decisions.jsonl"
    config.write_text(
        CERBOS_CONFIG.format(http=http, grpc=grpc, policies=policies, cache=2 * ROWS, log=log)
    )
    return config


def cerbos_scenario() -> Scenario:
    """The evaluation, with the subject's role in the question, as Cerbos is asked."""
    return question("evaluation", "evaluation", "POST /api/check/resources", _cerbos, asked())


def _cerbos(user: str, page: str) -> Ask:
    role = f"role{int(user.removeprefix('user')) % ROLES}"
    _, service, _, item = page.split("/")
    asks = {
        "requestId": "r",
        "principal": {"id": user, "roles": [role]},
        "resources": [{"actions": ["GET"], "resource": {"kind": service, "id": item}}],
    }
    return JSON, json.dumps(asks).encode()


def write_opa(place: Path) -> tuple[Path, Path]:
    """The rules, and the document that they look into."""
    place.mkdir()
    rules, data = place / "policy.rego", place / "data.json"
    rules.write_text(REGO)
    users = {f"user{n}": [f"role{n % ROLES}"] for n in range(USERS)}
    pages = {f"service{n}": {f"role{n % ROLES}": ["GET", "HEAD"]} for n in range(ROWS)}
    data.write_text(json.dumps({"users": users, "pages": pages}))
    return rules, data


def opa_scenario() -> Scenario:
    """The evaluation, as OPA is asked."""
    return question("evaluation", "evaluation", "POST /v1/data/pdp/allow", _opa, asked())


def _opa(user: str, page: str) -> Ask:
    asks = {"input": {"subject": user, "action": "GET", "resource": page}}
    return JSON, json.dumps(asks).encode()
