"""Two clients of the MDM API, written after its documented shapes, against whatever answers at a URL.

    api_clients.py URL CA NAME PASSWORD SERIAL UDID MAC DEVICE-ID      whatever its host is called, it is here

The first asks as scripts do; the second as generated clients do, which give each key a type and fail on another.
"""
import base64
import json
import socket
import ssl
import sys
import typing
import urllib.error
import urllib.parse
import urllib.request
import uuid

url, ca, name, password, serial, udid, mac, number = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more)
basic = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def get(path, accept="application/json;version=1", **query):
    where = url + path + ("?" + urllib.parse.urlencode(query) if query else "")
    request = urllib.request.Request(where, headers={"Accept": accept, "Authorization": basic, "aw-tenant-code": "key"})
    return urllib.request.urlopen(request, context=context)


# ---- a script: who has no token? ----

for by, value in (("Serialnumber", serial), ("Udid", udid), ("Macaddress", mac), ("DeviceId", number)):
    with get("/api/mdm/devices/security", searchby=by, id=value) as response:
        assert response.status == 200
        assert response.headers.get_content_type() == "application/json", response.headers
        assert json.load(response)["BootstrapTokenEscrowStatus"] is True, by

# ---- a generated client ----

MODEL = {
    "IsPasscodePresent": bool, "IsPasscodeCompliant": bool, "IsEncrypted": bool, "HasPersonalRecoveryKey": bool,
    "HasInstitutionalRecoveryKey": bool, "EnrolledViaDEP": bool, "UserApprovedEnrollment": bool,
    "SystemIntegrityProtectionEnabled": bool, "SecureBoot": {"SecureBootStatus": str, "ExternalBootStatus": str},
    "IsActivationLockManageable": bool, "BootstrapTokenEscrowStatus": bool, "AuthenticatedRootVolumeEnabled": bool,
    "BootstrapTokenAllowedForAuthentication": str, "BootstrapTokenRequiredForKernelExtensionApproval": bool,
    "BootstrapTokenRequiredForSoftwareUpdate": bool, "IsRecoveryLockEnabled": bool,
}


class ApiError(Exception):
    def __init__(self, status: int, error_code: int, message: str, activity_id: uuid.UUID):
        super().__init__(message)
        self.status, self.error_code, self.activity_id = status, error_code, activity_id


def typed(value: dict, model: dict) -> dict:
    out = {}
    for key, kind in model.items():
        if key in value:
            if isinstance(kind, dict):
                out[key] = typed(value[key], kind)
            else:
                assert type(value[key]) is kind, (key, value[key])
                out[key] = value[key]
    return out


def device_security(path: str, **query: typing.Any) -> dict:
    try:
        with get(path, **query) as response:
            return typed(json.loads(response.read()), MODEL)
    except urllib.error.HTTPError as error:
        assert error.headers.get_content_type() == "application/json", error.headers
        told = json.loads(error.read())
        assert list(told) == ["errorCode", "message", "activityId"], told
        assert type(told["errorCode"]) is int and type(told["message"]) is str
        raise ApiError(error.code, told["errorCode"], told["message"], uuid.UUID(told["activityId"])) from None


by_number = device_security(f"/api/mdm/devices/{number}/security")
assert by_number == device_security("/api/mdm/devices/security", searchby="Serialnumber", id=serial)
for key in ("BootstrapTokenEscrowStatus", "IsEncrypted", "SecureBoot", "BootstrapTokenAllowedForAuthentication"):
    assert key in by_number, (key, by_number)

activities = set()
for status, path, query in (
        (404, "/api/mdm/devices/security", {"searchby": "Serialnumber", "id": "NOBODY"}),
        (404, "/api/mdm/devices/999999/security", {}),
        (422, "/api/mdm/devices/security", {"searchby": "Color", "id": serial}),
        (422, "/api/mdm/devices/security", {"searchby": "Serialnumber"}),
        (406, "/api/mdm/devices/security", {"accept": "application/xml", "searchby": "Serialnumber", "id": serial})):
    try:
        device_security(path, **query)
        sys.exit(f"{path} {query}: no error")
    except ApiError as error:
        assert (error.status, error.error_code) == (status, status), (path, query, error.status)
        activities.add(error.activity_id)
assert len(activities) == 5
