"""What is sent to the server and what comes back, and the sentences for what cannot be read."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, from_json

from tinylm.serving.limits import Limits, flag_of

if TYPE_CHECKING:
    from tinylm.runtime.predictions import Explanation, Predictions

_USAGE = 'send {"text": "..."} or {"texts": ["...", "..."]}'
_SHOWN = 40


class _RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OneText(_RequestBody):
    """One text to label."""

    text: str = Field(examples=["printer on floor 3 is jammed again"])
    explain: bool = Field(default=False, description="also return the attention weight of each word")

    def named(self) -> Iterable[tuple[str, str]]:
        """Its text, with its field, for messages."""
        return [("text", self.text)]


class ManyTexts(_RequestBody):
    """Texts to label, answered in their order."""

    texts: list[str] = Field(examples=[["printer on floor 3 is jammed again", "I forgot my password"]])

    def named(self) -> Iterable[tuple[str, str]]:
        """Its texts, each with its field, for messages."""
        return ((f"texts[{index}]", text) for index, text in enumerate(self.texts))


_Shape = TypeVar("_Shape", OneText, ManyTexts)


class PredictionMessage(BaseModel):
    """The prediction of the committee for a text.

    The fields are those of `runtime.predictions.Prediction`; where a text may have several labels, those of
    `LabelsPrediction`, which has `labels` in place of `label` and `probability`.
    """

    label: str | None = Field(default=None, description="the most probable label, where a text has one")
    probability: float | None = Field(default=None, description="of that label")
    labels: list[str] | None = Field(
        default=None,
        description="the labels that reach their thresholds, the most probable first, where a text may have several; "
        "perhaps none",
    )
    probabilities: dict[str, float] = Field(description="of every label, by the committee")
    disagreement: float = Field(description="of the members, in nats; 0 where all agree")
    votes: list[dict[str, float]] = Field(description="of every label, by each member")
    tokens: int = Field(description="tokens that were read, [CLS] and [SEP] of each window included")
    truncated: bool = Field(default=False, description="whether the text goes on after what was read of it")
    ngrams: dict[str, float] | None = Field(
        default=None, description="of every label, by the linear n-gram classifier, where one votes with the members"
    )


class OneAnswer(PredictionMessage):
    """The answer to one text."""

    milliseconds: float = Field(description="from the arrival of the request to the answer, in the server")


class WeightedWord(BaseModel):
    """A word that was read."""

    start: int = Field(description="its first character, counted in code points from 0")
    end: int = Field(description="the character after its last")
    weight: float = Field(description="attention that [CLS] gives it, mean over members and heads")


class ExplainedAnswer(OneAnswer):
    """The answer to one text, with where the attention went. The weights, that of special included, sum to 1."""

    words: list[WeightedWord] = Field(description="start, end and weight of each, in the order of the text")
    special: float = Field(description="attention that [CLS] gives to [CLS] and [SEP]")


class ManyAnswers(BaseModel):
    """The answers to texts, in their order."""

    predictions: list[PredictionMessage] = Field(
        description="one for each text, with what is given for one, but the time"
    )
    milliseconds: float = Field(description="from the arrival of the request to the answers, in the server")


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="one sentence: what is wrong, where, and what to do")


class Health(BaseModel):
    """How the server is."""

    status: str


def request_schema(limits: Limits) -> dict[str, Any]:
    """The JSON schema of a request's body, with the limits in it."""
    one, many = OneText.model_json_schema(), ManyTexts.model_json_schema()
    one["properties"]["text"]["maxLength"] = limits.max_characters
    many["properties"]["texts"] |= {"maxItems": limits.max_texts}
    many["properties"]["texts"]["items"]["maxLength"] = limits.max_characters
    return {"oneOf": [one, many]}


def read(body: bytes, limits: Limits) -> OneText | ManyTexts:
    """The request in a body.

    Raises:
        HTTPException: 400 where the body is no JSON in UTF-8, 422 where it is not what the server takes.
    """
    try:
        given = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise HTTPException(400, f"The body is not JSON in UTF-8 ({error}); {_USAGE}.") from error
    if not isinstance(given, dict):
        raise HTTPException(422, f"The body is not a JSON object; {_USAGE}.")
    if ("text" in given) == ("texts" in given):
        which = "both text and texts" if "text" in given else "neither text nor texts"
        raise HTTPException(422, f"The body has {which}; {_USAGE}.")
    # Pydantic lists every fault there is, so what there may be thousands of is looked at first.
    if "text" in given:
        _check_names(given, OneText)
        return _checked(OneText, given, limits)
    if "explain" in given:
        raise HTTPException(422, "explain stands beside texts, and only one text can be explained; send it as text.")
    _check_names(given, ManyTexts)
    _check_number(given["texts"], limits)
    return _checked(ManyTexts, given, limits)


def _check_names(given: Iterable[str], shape: type[_RequestBody]) -> None:
    for name in given:
        if name not in shape.model_fields:
            raise HTTPException(422, f"{name[:_SHOWN]} is no field that is known; {_USAGE}.")


def _check_number(texts: object, limits: Limits) -> None:
    if isinstance(texts, list) and len(texts) > limits.max_texts:
        raise HTTPException(
            422,
            f"texts has {len(texts)} texts, more than {limits.max_texts}; "
            f"send them in several requests, or start the server with a larger {flag_of('max_texts')}.",
        )


def _checked(shape: type[_Shape], given: dict[str, Any], limits: Limits) -> _Shape:
    try:
        requested = shape.model_validate(given)
    except ValidationError as error:
        raise HTTPException(422, _sentence(error.errors(include_url=False)[0])) from error
    for name, text in requested.named():
        if len(text) > limits.max_characters:
            raise HTTPException(
                422,
                f"{name} has {len(text)} characters, more than {limits.max_characters}; "
                f"shorten it, or start the server with a larger {flag_of('max_characters')}.",
            )
    return requested


def _sentence(error: ErrorDetails) -> str:
    field, *index = error["loc"]
    wrong = {
        "string_type": "is not a string",
        "list_type": "is not a list of strings",
        "bool_type": "is neither true nor false",
    }
    return f"{field}{''.join(f'[{i}]' for i in index)} {wrong.get(error['type'], error['msg'])}; {_USAGE}."


def predictions(answers: "Predictions") -> list[PredictionMessage]:
    """The predictions of texts, one by one, in the shape of `tinylm predict --json`."""
    return [PredictionMessage(**vars(prediction)) for prediction in answers.one_by_one()]


def words(explanation: "Explanation") -> list[WeightedWord]:
    """The words of an explanation."""
    return [WeightedWord(start=word.start, end=word.end, weight=word.weight) for word in explanation.words]
