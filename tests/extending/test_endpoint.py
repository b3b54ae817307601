"""An endpoint added from outside: the labels of a model, and the label of a text in the path."""

from fastapi import APIRouter, Request
from server_fixtures import FakeClassifier, serving

router = APIRouter(prefix="/label")


@router.get("/{text}", summary="The label of a text in the path")
async def label(text: str, request: Request) -> dict[str, str]:
    answers = await request.app.state.batcher.answer([text])
    return {"label": answers.labels[answers.probabilities[0].argmax()]}


def test_endpoint_from_outside_has_guard_metrics_and_docs():
    with serving(FakeClassifier(), "secret", routers=[router]) as served:
        assert served.ask("GET", "/label/printer").json == {"label": served.predict({"text": "printer"}).json["label"]}
        authorization = served.headers.pop("Authorization")
        assert served.ask("GET", "/label/printer").status == 401
        served.headers["Authorization"] = authorization
        counts = served.metrics()
        assert counts['tinylm_requests_total{path="/label/{text}",status="200"}'] == 1
        assert counts['tinylm_requests_total{path="/label/{text}",status="401"}'] == 1
        page = served.ask("GET", "/docs").body.decode()
        assert "GET /label/{text}" in page
        assert page.count("Authorization: Bearer TOKEN") == 3
