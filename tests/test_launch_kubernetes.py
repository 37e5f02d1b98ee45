"""``launch/kubernetes.yaml`` against Kubernetes' own schema, and against itself; the image that it runs."""

import copy
import json

import kubernetes_validate
import pytest
import yaml

from tests import configurations

LAUNCH = configurations.ROOT / "launch"
MAIN = [".venv/bin/python", "-m", "aejax.main"]


@pytest.fixture(scope="module")
def documents():
    return {document["kind"]: document for document in yaml.safe_load_all((LAUNCH / "kubernetes.yaml").read_text())}


@pytest.fixture(scope="module")
def job(documents):
    return documents["Job"]["spec"]


@pytest.fixture(scope="module")
def container(job):
    (only,) = job["template"]["spec"]["containers"]
    return only


@pytest.mark.parametrize("kind", ["PersistentVolumeClaim", "Service", "Job"])
@pytest.mark.parametrize("version", ["1.31", kubernetes_validate.latest_version()])
def test_it_keeps_the_schema(documents, kind, version):
    kubernetes_validate.validate(documents[kind], version, strict=True)


@pytest.mark.parametrize("key, value", [("completionModus", "Indexed"), ("completions", "two")])
def test_the_schema_would_tell(documents, key, value):
    wrong = copy.deepcopy(documents["Job"])
    wrong["spec"][key] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_every_process_has_a_number_and_finds_the_first(documents, job, container):
    variables = {one["name"]: one["value"] for one in container["env"]}
    name, service = documents["Job"]["metadata"]["name"], documents["Service"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"] == int(variables["JAX_NUM_PROCESSES"])
    assert "JAX_PROCESS_ID" not in variables  # one value for all pods; JOB_COMPLETION_INDEX differs
    host, port = variables["JAX_COORDINATOR_ADDRESS"].split(":")
    assert host == f"{name}-0.{service['metadata']['name']}" and 1024 < int(port) < 65536
    assert job["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["selector"] == {"job-name": name}


def test_all_pods_write_into_one_claim(documents, job, container):
    (volume,) = job["template"]["spec"]["volumes"]
    (mount,) = container["volumeMounts"]
    assert volume["persistentVolumeClaim"]["claimName"] == documents["PersistentVolumeClaim"]["metadata"]["name"]
    assert documents["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert volume["name"] == mount["name"]
    assert any(flag.startswith(f"--workdir={mount['mountPath']}/") for flag in container["args"])


def action(job, status, disrupted=False):
    """What the first rule that fits a pod's exit status does; None where it is counted as a failure."""
    for rule in job["podFailurePolicy"]["rules"]:
        if status in rule.get("onExitCodes", {}).get("values", []) or (disrupted and "onPodConditions" in rule):
            return rule["action"]


def test_what_was_stopped_is_started_again_and_a_mistake_is_not(job):
    assert [action(job, status) for status in (2, 75, 143, 1, 137)] == ["FailJob", "Ignore", "Ignore", None, None]
    assert action(job, 137, disrupted=True) == "Ignore"  # did not save in time
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # without it there may be no podFailurePolicy
    assert pod["terminationGracePeriodSeconds"] >= 60  # to save in


def test_it_trains_a_config_that_is_there(container):
    assert container["command"] == MAIN
    (config,) = (flag.partition("=")[2] for flag in container["args"] if flag.startswith("--config="))
    assert (configurations.ROOT / config).is_file()


def test_the_image_holds_what_the_command_needs(container):
    lines = (LAUNCH / "Dockerfile").read_text().splitlines()
    said = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert json.loads(dict(said)["ENTRYPOINT"]) == container["command"]
    copied = [source for word, rest in said if word == "COPY" for source in rest.split()[:-1]]
    assert {"aejax", "configs", "requirements.txt", "launch/setup.sh"} == set(copied)
    assert all((configurations.ROOT / source).exists() for source in copied)
