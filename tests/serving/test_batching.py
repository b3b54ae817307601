"""Texts are answered together, none waits for company, and nobody is kept waiting by a large request."""

import asyncio
import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
import pytest
from server_fixtures import FakeClassifier, eventually, serving

from tinylm.serving.batching import Batcher, QueueFullError


@asynccontextmanager
async def batching(classifier, batch=4, max_waiting=100, sizes=None):
    batcher = Batcher(
        classifier, batch=batch, max_waiting=max_waiting, on_batch=(sizes if sizes is not None else []).append
    )
    try:
        yield batcher
    finally:
        classifier.open.set()
        await batcher.close()


async def held(batcher, classifier):
    """A text that is being answered until the classifier is open again."""
    classifier.open.clear()
    first = batcher.answer(["held"])
    while not classifier.calls:
        await asyncio.sleep(0.001)
    classifier.calls.clear()
    return first


def test_a_lone_text_is_answered_at_once_and_alone():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier) as batcher:
            for number in range(20):
                start = time.perf_counter()
                await batcher.answer([f"{number}"])
                assert time.perf_counter() - start < 0.1
        assert classifier.calls == [[f"{number}"] for number in range(20)]

    asyncio.run(run())


def test_what_arrives_meanwhile_is_the_next_batch():
    async def run():
        classifier, sizes = FakeClassifier(), []
        async with batching(classifier, batch=8, sizes=sizes) as batcher:
            first = await held(batcher, classifier)
            others = [batcher.answer([f"{number}"]) for number in range(10)]
            assert batcher.waiting == 10
            classifier.open.set()
            answers = await asyncio.gather(first, *others)
            assert [len(call) for call in classifier.calls] == [8, 2]
            assert sizes == [1, 8, 2]
            assert batcher.waiting == 0
            for number, answer in enumerate(answers[1:]):
                alone = FakeClassifier().predict_batch([f"{number}"])
                np.testing.assert_array_equal(answer.votes, alone.votes)
                np.testing.assert_array_equal(answer.probabilities, alone.probabilities)
                np.testing.assert_array_equal(answer.tokens, alone.tokens)

    asyncio.run(run())


def test_a_large_request_is_answered_in_pieces_and_in_order():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier) as batcher:
            texts = [" x" * number for number in range(11)]
            answers = await batcher.answer(texts)
            assert [len(call) for call in classifier.calls] == [4, 4, 3]
            expected = FakeClassifier().predict_batch(texts)
            np.testing.assert_array_equal(answers.votes, expected.votes)
            np.testing.assert_array_equal(answers.probabilities, expected.probabilities)
            np.testing.assert_array_equal(answers.tokens, expected.tokens)
            assert answers.labels == expected.labels

    asyncio.run(run())


def test_small_requests_are_in_the_next_batch_beside_large_ones():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier) as batcher:
            await held(batcher, classifier)
            large = [batcher.answer([f"large {name} {number}" for number in range(20)]) for name in "ab"]
            small = [batcher.answer([f"small {name}"]) for name in "ab"]
            classifier.open.set()
            await asyncio.gather(*small)
            assert sorted(classifier.calls[0]) == ["large a 0", "large b 0", "small a", "small b"]
            await asyncio.gather(*large)
            assert {len(call) for call in classifier.calls[1:-1]} == {4}
            # The two large ones take turns to the end.
            assert all({text[6] for text in call} == {"a", "b"} for call in classifier.calls[1:-1])

    asyncio.run(run())


def test_more_requests_than_a_batch_holds_are_answered_as_they_came():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier) as batcher:
            await held(batcher, classifier)
            for number in range(7):
                batcher.answer([f"{number} {part}" for part in range(2)])
            classifier.open.set()
            eventually(lambda: len(classifier.calls) == 4)
            assert [text[0] for call in classifier.calls for text in call] == list("01234560123456")

    asyncio.run(run())


def test_an_explanation_takes_its_turn():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier) as batcher:
            await held(batcher, classifier)
            answer, explanation = batcher.answer(["a"]), batcher.explain("b c")
            assert batcher.waiting == 2
            classifier.open.set()
            assert len((await explanation).words) == 2
            assert (await answer).tokens.tolist() == [3]
            assert classifier.calls == [["a"], ["b c"]]

    asyncio.run(run())


def test_a_request_that_is_given_up_is_not_answered():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier) as batcher:
            await held(batcher, classifier)
            given_up, kept = batcher.answer(["given up"] * 20), batcher.answer(["kept"])
            given_up.cancel()
            await asyncio.sleep(0)
            assert batcher.waiting == 1
            classifier.open.set()
            await kept
            assert classifier.calls == [["kept"]]

    asyncio.run(run())


def test_a_large_request_is_given_up_halfway():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier) as batcher:
            classifier.open.clear()
            given_up = batcher.answer(["given up"] * 20)
            while not classifier.calls:
                await asyncio.sleep(0.001)
            given_up.cancel()
            await asyncio.sleep(0)
            assert batcher.waiting == 0
            classifier.open.set()
            await batcher.answer(["kept"])
            assert [len(call) for call in classifier.calls] == [4, 1]

    asyncio.run(run())


def test_no_more_wait_than_may():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier, max_waiting=5) as batcher:
            await held(batcher, classifier)
            batcher.answer(["a"] * 3)
            with pytest.raises(QueueFullError, match="3"):
                batcher.answer(["b"] * 3)
            batcher.answer(["c"] * 2)
            with pytest.raises(QueueFullError, match="5"):
                batcher.explain("d")
            assert batcher.waiting == 5

    asyncio.run(run())


def test_a_fault_fails_the_request_that_has_it_and_no_other():
    async def run():
        classifier = FakeClassifier()
        async with batching(classifier) as batcher:
            await held(batcher, classifier)
            good, bad, after = batcher.answer(["a"]), batcher.answer(["fault"] * 9), batcher.answer(["b"])
            explained = batcher.explain("fault")
            classifier.open.set()
            for failing in (bad, explained):
                with pytest.raises(RuntimeError, match="a fault"):
                    await failing
            for answer, text in ((await good, "a"), (await after, "b")):
                np.testing.assert_array_equal(answer.votes, FakeClassifier().predict_batch([text]).votes)
            assert batcher.waiting == 0
            await batcher.answer(["c"])

    asyncio.run(run())


def test_what_waits_is_answered_before_the_end():
    async def run():
        classifier = FakeClassifier(seconds=0.01)
        async with batching(classifier) as batcher:
            waiting = [batcher.answer([f"{number}"]) for number in range(10)]
        assert all(len(answer.tokens) == 1 for answer in await asyncio.gather(*waiting))

    asyncio.run(run())


def test_requests_of_many_clients_share_batches():
    classifier = FakeClassifier(seconds=0.01)
    with serving(classifier, batch=8) as served, ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda number: served.predict({"text": f"{number}"}), range(100)))
        assert all(reply.status == 200 for reply in replies)
    sizes = [len(call) for call in classifier.calls]
    assert max(sizes) == 8
    assert len(sizes) < 50


def test_the_server_answers_others_while_it_computes():
    classifier = FakeClassifier()
    with serving(classifier, max_waiting=3, max_texts=3) as served, ThreadPoolExecutor(8) as pool:
        classifier.open.clear()
        first = pool.submit(served.predict, {"text": "first"})
        eventually(lambda: classifier.calls)
        waiting = pool.submit(served.predict, {"texts": ["a", "b", "c"]})
        batcher = served.app.state.batcher
        eventually(lambda: batcher.waiting == 3)
        assert served.ask("GET", "/healthz").status == 200
        refused = served.predict({"text": "one too many"})
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "1"
        assert refused.detail == (
            "3 texts wait already; try again in a second, "
            "or start the server with more --workers or a larger --max-waiting."
        )
        classifier.open.set()
        assert (first.result().status, waiting.result().status) == (200, 200)


def test_a_client_that_leaves_gives_up_its_place():
    classifier = FakeClassifier()
    with serving(classifier) as served, ThreadPoolExecutor(8) as pool:
        classifier.open.clear()
        first = pool.submit(served.predict, {"text": "first"})
        eventually(lambda: classifier.calls)
        batcher = served.app.state.batcher
        leaving = http.client.HTTPConnection("127.0.0.1", served.port)
        leaving.request("POST", "/predict", b'{"texts": ["gone", "gone"]}')
        eventually(lambda: batcher.waiting == 2)
        leaving.close()
        eventually(lambda: batcher.waiting == 0)
        classifier.open.set()
        assert first.result().status == 200
        assert classifier.calls == [["first"]]
        eventually(lambda: served.metrics().get('tinylm_requests_total{path="/predict",status="499"}') == 1)
        assert served.metrics()["tinylm_failures_total"] == 0
