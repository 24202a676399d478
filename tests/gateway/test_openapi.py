"""The OpenAPI document and the daemon, held to each other: every route is in it and answers as it
says; malformed input of every kind, made from the document, is refused and changes nothing."""

import copy
import http.client
import json
import re
import socket

import jsonschema
import pytest

import lab


class Api(http.client.HTTPConnection):
    """The API socket, spoken by somebody else's HTTP library."""

    def __init__(self, path):
        super().__init__("warren", timeout=30)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class Client:
    def __init__(self, gateway):
        self.socket = gateway.run_dir / "warren.sock"
        self.document = self.call("GET", "/v1/openapi.json")[2]
        self.routes = [(method.upper(), path, operation)
                       for path, methods in self.document["paths"].items()
                       for method, operation in methods.items()]

    def call(self, method, path, body=None, content="application/json"):
        api = Api(self.socket)
        headers = {"Content-Type": content} if body is not None and content else {}
        if isinstance(body, dict):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        api.request(method, path, body=body, headers=headers)
        answer = api.getresponse()
        kind = answer.getheader("Content-Type")
        if kind == "text/event-stream":
            text = answer.fp.readline()
            api.close()
            return answer.status, kind, text
        text = answer.read()
        api.close()
        return answer.status, kind, json.loads(text) if kind == "application/json" else text

    def schema(self, part):
        return {**part, "components": self.document["components"]}

    def validate(self, operation, status, kind, answer):
        if status == 200:
            content = operation["responses"]["200"]["content"]
            assert list(content) == [kind]
            if kind != "application/json":
                return
            schema = content[kind]["schema"]
        else:
            schema = self.document["components"]["responses"]["Error"]["content"][
                "application/json"]["schema"]
        jsonschema.Draft202012Validator(self.schema(schema)).validate(answer)


@pytest.fixture
def client(gateway):
    return Client(gateway)


def test_the_document_is_one_and_its_schemas_are_schemas(client):
    document = client.document
    assert document["openapi"].startswith("3.1.")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    ids = [operation["operationId"] for _, _, operation in client.routes]
    assert len(set(ids)) == len(ids)
    for method, path, operation in client.routes:
        named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), path
        assert operation["x-warren-reach"] in ("network", "filtered", "gateway", "host")
        assert isinstance(operation["x-warren-changes"], bool)
        assert method != "GET" or not operation["x-warren-changes"]


def test_what_the_sources_name_is_in_the_document(client):
    """The other way round: no path of the client's or of the table of types is missing."""
    served = {(method, re.sub(r"{\w+}", "*", path)) for method, path, _ in client.routes}
    for method, path in (("GET", "/v1/status"), ("POST", "/v1/networks/*/peers/*/revoke"),
                         ("GET", "/v1/events"), ("GET", "/v1/openapi.json"),
                         ("PUT", "/v1/networks/*/policy"), ("DELETE", "/v1/tokens/*")):
        assert (method, path) in served
    for path in client.document["paths"]:
        filled = re.sub(r"{\w+}", "nothing", path)
        allowed = {method for method, other, _ in client.routes
                   if re.fullmatch(re.sub(r"{\w+}", "[^/]+", other), filled)}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
            status, _, answer = client.call(method, filled)
            assert status == 405, (method, path)
            assert sorted(answer["error"]["hint"].split("accepts ")[1].split(", ")) == sorted(
                allowed), "the table has no route that the document has not"


def story(gateway, client):
    """Something of everything, so that every answer has content: what is called to have it."""
    name = gateway.create("a")["name"]
    base = f"/v1/networks/{name}"
    request = gateway.folder / "request.pem"
    lab.output("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-keyout", gateway.folder / "request.key", "-subj", "/CN=phone",
               "-out", request)
    steps = [
        ("POST", base + "/roles", {"schema": 1, "name": "node", "range": "10.20.0.64/26"}),
        ("PATCH", base + "/roles/node", {"schema": 1, "max_members": 7}),
        ("PUT", base + "/policy", {"schema": 1, "lines": ["rules:", "- node -> gateway: tcp 22"]}),
        ("POST", base + "/policy/test",
         {"schema": 1, "from": "node", "to": "gateway", "port": "tcp/22"}),
        ("POST", base + "/invites", {"schema": 1, "name": "laptop"}),
        ("POST", base + "/peers", {"schema": 1, "name": "phone", "role": "node"}),
        ("POST", base + "/peers/batch",
         {"schema": 1, "peers": [{"name": "one"}, {"name": "two"},
                                   {"name": "lost", "public_key": "B" * 42 + "E="}]}),
        ("POST", base + "/ca/sign", {"schema": 1, "certificate_request": request.read_text(),
                                     "peer": "phone", "days": 7}),
        ("POST", base + "/peers/phone/key", {"schema": 1, "public_key": "A" * 42 + "E="}),
        ("POST", base + "/peers/two/rename", {"schema": 1, "name": "three"}),
        ("POST", base + "/forwards", {"schema": 1, "from": "8080/tcp", "peer": "phone"}),
        ("PATCH", base, {"schema": 1, "dns": ["9.9.9.9"]}),
        ("POST", "/v1/tokens", {"schema": 1, "name": "ci", "network": name}),
        ("POST", base + "/repair", None), ("POST", "/v1/reload", None),
        ("POST", base + "/restart", None),
    ] + [("POST", base + "/invites", {"schema": 1, "name": f"of-{person}", "person": person})
         for person in ("ann", "bob")]
    return name, steps


def operation_of(client, method, path):
    """As a client of the document would find it: literal segments before those in braces."""
    found = [(route.count("{"), operation) for known, route, operation in client.routes
             if known == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route), path)]
    return min(found, key=lambda pair: pair[0])[1]


def test_answers_are_what_the_document_says(gateway, client):
    name, steps = story(gateway, client)
    seen = set()

    def call(method, path, body=None):
        status, kind, answer = client.call(method, path, body)
        operation = operation_of(client, method, path.partition("?")[0])
        assert status == 200, (method, path, answer)
        client.validate(operation, status, kind, answer)
        if body is not None:
            content = operation["requestBody"]["content"]["application/json"]
            jsonschema.Draft202012Validator(client.schema(content["schema"])).validate(body)
        seen.add(operation["operationId"])
        return answer

    for method, path, body in steps:
        call(method, path, body)
    values = {"network": name, "peer": "phone", "role": "node"}
    for method, path, operation in client.routes:
        missing = set(re.findall(r"{(\w+)}", path)) - set(values)
        if method == "GET" and not missing:
            call(method, path.format(**values))
    call("GET", "/v1/audit?after=1&limit=3")
    base = f"/v1/networks/{name}"
    signed = call("GET", base + "/certificates")["certificates"]
    serial = next(one["serial"] for one in signed if one["name"] == "phone")
    for method, path in (("POST", base + "/stop"), ("POST", base + "/start"),
                         ("POST", f"{base}/certificates/{serial}/revoke"),
                         ("DELETE", "/v1/forwards/tcp/8080"), ("DELETE", base + "/policy"),
                         ("POST", base + "/peers/lost/revoke-everywhere"),
                         ("POST", base + "/persons/ann/revoke"),
                         ("POST", "/v1/persons/bob/revoke-everywhere"),
                         ("POST", base + "/peers/phone/revoke"), ("DELETE", "/v1/tokens/ci"),
                         ("DELETE", base + "/roles/node")):
        call(method, path)
    rotated = call("POST", base + "/ca/rotate", {"schema": 1, "drop_old": True})
    assert [one["current"] for one in rotated["authorities"]] == [True]
    call("DELETE", base)
    call("POST", "/v1/networks",
         {"schema": 1, "name": gateway.network("b"), "subnet": "10.30.0.0/24"})
    untold = {operation["operationId"] for _, _, operation in client.routes} - seen
    assert not untold, "routes that nobody asked with success: tell their story above"


def example(client, schema):
    """A document with every required key, right in type if not in sense."""
    schema = {**client.document["components"]["schemas"].get(
        schema.get("$ref", "").rpartition("/")[2], {}), **{k: v for k, v in schema.items()
                                                          if k != "properties"}}
    kind = schema.get("type")
    if kind == "object":
        return {key: example(client, schema["properties"][key])
                for key in schema.get("required", []) if key in schema["properties"]}
    return {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "array": []}[kind]


def fields_of(client, schema):
    name = schema["$ref"].rpartition("/")[2]
    return client.document["components"]["schemas"][name]


def wrong_values(client, schema):
    kind = schema.get("type", "object")
    right = {"string": "text", "integer": 7, "number": 1.5, "boolean": True, "array": [],
             "object": {}}
    for other, value in right.items():
        if other != kind and not (kind == "number" and other == "integer"):
            yield f"{other} for {kind}", value
    yield "null", None
    if kind == "string":
        yield "too long", "x" * (schema["maxLength"] + 1)
        yield "a zero byte", "a\0b"
    if kind == "array":
        for what, value in wrong_values(client, schema["items"]):
            yield f"an entry: {what}", [value]
    if kind == "object":
        good = example(client, {"$ref": schema["$ref"]})
        yield "unknown key", {**good, "no-such-key": 1}
        for key, field in fields_of(client, schema)["properties"].items():
            for what, value in wrong_values(client, field):
                yield f"{key}: {what}", {**good, key: value}
    if kind == "integer":
        yield "too large", schema["maximum"] + 1
        yield "too small", schema["minimum"] - 1
        yield "a fraction", 1.5


def malformed(client, schema):
    """(what is wrong, the bytes, the content type)."""
    good = {"schema": 1, **example(client, {"$ref": schema["$ref"]})}
    fields = fields_of(client, schema)
    yield "nothing", b"", "application/json"
    yield "no JSON", b"{", "application/json"
    yield "two documents", b"{}{}", "application/json"
    yield "a list", b"[]", "application/json"
    yield "a text", b'"x"', "application/json"
    yield "bad UTF-8", b'{"schema":1,"x":"\xff\xfe"}', "application/json"
    yield "deep", b'{"schema":1,"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "application/json"
    yield "huge", b'{"schema":1,"x":"' + b"y" * 70_000 + b'"}', "application/json"
    yield "said to be a form", json.dumps(good).encode(), "application/x-www-form-urlencoded"
    yield "unknown key", json.dumps({**good, "no-such-key": 1}).encode(), "application/json"
    yield "twice", (json.dumps(good)[:-1] + ',"schema":1}').encode(), "application/json"
    crowd = {**good, **{f"no-such-key-{number}": 1 for number in range(2000)}}
    yield "thousands of keys", json.dumps(crowd).encode(), "application/json"
    yield "no version", json.dumps(
        {k: v for k, v in good.items() if k != "schema"}).encode(), "application/json"
    yield "another version", json.dumps({**good, "schema": 2}).encode(), "application/json"
    for key in fields.get("required", []):
        less = {k: v for k, v in good.items() if k != key}
        yield f"without {key}", json.dumps(less).encode(), "application/json"
    for key, field in fields["properties"].items():
        for what, value in wrong_values(client, field):
            yield f"{key}: {what}", json.dumps({**good, key: value}).encode(), "application/json"


def without_audit(gateway, client):
    """All that a refused request must leave as it was: state by the API, host by the kernel."""
    state = {}
    for method, path, operation in client.routes:
        if method != "GET" or re.match("/v1/(audit|events|doctor)", path):
            continue
        if set(re.findall(r"{(\w+)}", path)) - {"network"}:
            continue
        status, kind, answer = client.call(method, path.format(network=gateway.network("a")))
        state[path] = (status, answer)
    text = json.dumps(state, default=repr)
    for moving in (r'"engine_report": {.*?]}', r'"(rx|tx)_bytes": \d+', r'"last_handshake": \d+'):
        text = re.sub(moving, "", text)
    return text, gateway.snapshot()


def test_malformed_input_of_every_kind_is_refused_and_changes_nothing(gateway, client):
    name, steps = story(gateway, client)
    for method, path, body in steps[:7]:
        assert client.call(method, path, body)[0] == 200, path
    before = without_audit(gateway, client)
    values = {"network": name, "peer": "one", "role": "node", "token": "ci", "person": "ann",
              "protocol": "tcp", "port": "80", "serial": "00"}
    tried = {operation["operationId"]: 0 for _, _, operation in client.routes}
    for method, path, operation in client.routes:
        unknown = set(re.findall(r"{(\w+)}", path)) - set(values)
        assert not unknown, f"{path}: say above what stands for {unknown}"
        filled = path.format(**values)
        cases = []
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            cases += [(what, filled, body, content)
                      for what, body, content in malformed(client, schema)]
        else:
            cases.append(("a body nobody asked for", filled, b'{"schema":1}', "application/json"))
        cases += [("bad escape", filled + "%", None, None), ("zero", filled + "%00", None, None),
                  ("query twice", filled + "?x=1&x=2", None, None),
                  ("unknown query", filled + "?no-such=1", None, None)]
        for query in (p for p in operation.get("parameters", []) if p["in"] == "query"):
            if query["schema"]["type"] == "integer":
                for value in ("x", "-1", "1.5", str(query["schema"]["maximum"] + 1), ""):
                    cases.append((f"{query['name']}={value}",
                                  f"{filled}?{query['name']}={value}", None, None))
        for segment in re.findall(r"{(\w+)}", path):
            for odd in ("no-such-thing", "%ff%fe", "a" * 5000, "..%2f..%2fetc", "%3Cscript%3E"):
                odd_path = path.format(**{**values, segment: odd})
                body = None
                if "requestBody" in operation:
                    body = {"schema": 1, **example(client, {"$ref": schema["$ref"]})}
                cases.append((f"{segment}={odd[:20]}", odd_path, body, "application/json"))
        for what, target, body, content in cases:
            status, kind, answer = client.call(method, target, body, content)
            assert 400 <= status < 500, (method, path, what, status, answer)
            client.validate(operation, status, kind, answer)
            tried[operation["operationId"]] += 1
    assert min(tried.values()) >= 5 and sum(tried.values()) > 1000, tried
    assert without_audit(gateway, client) == before


def test_what_is_no_http_is_refused(gateway, client):
    for raw, status in ((b"NONSENSE\r\n\r\n", b"400"), (b"GET /v1/status HTTP/1.1\r\n\r\n", b"400"),
                        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000 + b"\r\n\r\n", b"431"),
                        (b"GET /v1/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"431"),
                        (b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
                         b"413"),
                        (b"POST /v1/networks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                         b"400")):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(20)
            stream.connect(str(client.socket))
            stream.sendall(raw)
            answer = stream.recv(4096)
            assert answer.split(b" ")[1] == status, (raw[:60], answer)
            body = answer.partition(b"\r\n\r\n")[2] or stream.recv(4096)
            assert json.loads(body)["error"]["kind"] == "invalid"
    assert client.call("GET", "/v1/status")[2]["ready"]
