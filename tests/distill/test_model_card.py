from __future__ import annotations

from dataclasses import replace

import yaml

from rebase_db.distill.model_card import CardFacts, ScoreFact, SourceFact, render_model_card

FACTS = CardFacts(
    task="weather-talk",
    instruction="Say whether the text\nis about weather.",
    labels=["weather", "other"],
    student="classifier",
    base="sentence-transformers/all-MiniLM-L6-v2",
    base_revision="local",
    training_set="weather-talk-1",
    manifest_hash=bytes(32),
    examples=42,
    sources=[SourceFact("radio|logs", 40, "CC-BY-4.0"), SourceFact("diaries", 2, "")],
    teacher="template",
    prompt_hash=None,
    hyperparameters={"learning_rate": 1e-4, "epochs": 3, "seed": 7},
    seed=7,
    code_version="0.1.0",
    artifact_hash=b"\xab" * 32,
    scores=[ScoreFact("forecasts", "accuracy", 0.875, 0.53, 0.978, 0.5, 8)],
)

CARD = f"""---
library_name: transformers
base_model: sentence-transformers/all-MiniLM-L6-v2
tags:
- rebase-db
- retrieval-based-distillation
- classifier
pipeline_tag: text-classification
datasets:
- diaries
- radio|logs
model-index:
- name: weather-talk
  results:
  - task:
      type: text-classification
      name: weather-talk
    dataset:
      name: forecasts
      type: forecasts
    metrics:
    - type: accuracy
      value: 0.875
---

# weather-talk

> Say whether the text
> is about weather.

A classifier that answers with one of: weather, other.

## Scores

| benchmark | metric | score | 95 % interval | majority class | items |
| --- | --- | --- | --- | --- | --- |
| forecasts | accuracy | 87.5% | 53.0% to 97.8% | 50.0% | 8 |

## Training

| what | value |
| --- | --- |
| base model | sentence-transformers/all-MiniLM-L6-v2 (local) |
| training set | weather-talk-1, 42 examples, manifest `{"00" * 32}` |
| teacher | template |
| prompt | none |
| epochs | 3 |
| learning rate | 0.0001 |
| seed | 7 |
| made by | rebase-db 0.1.0 |
| artifact | `{"ab" * 32}` |

## Sources

The licence of each dataset holds for what was derived from it.

| dataset | examples | licence |
| --- | --- | --- |
| radio\\|logs | 40 | CC-BY-4.0 |
| diaries | 2 | not stated |
"""


def test_the_card_states_every_fact() -> None:
    assert render_model_card(FACTS) == CARD


def test_an_llm_teacher_shows_its_prompt_and_a_run_without_scores_says_so() -> None:
    card = render_model_card(replace(FACTS, teacher="openai gpt-x", prompt_hash=b"\x01" * 32, scores=[]))
    assert f"| prompt | `{'01' * 32}` |" in card
    assert "## Scores\n\nNot evaluated." in card
    assert "model-index" not in card


def test_the_front_matter_stays_yaml_whatever_the_names_hold() -> None:
    name = 'a: "b" #c\n---\nd | é'
    card = render_model_card(replace(FACTS, task=name, sources=[SourceFact(name, 1, name)]))
    front = card.removeprefix("---\n").split("\n---\n\n", 1)[0]
    assert yaml.safe_load(front)["datasets"] == [name]
