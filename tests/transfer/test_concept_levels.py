"""Levels of unseen classes. What could silently be wrong: a similarity that is another one, a concept that is counted
twice under two parents, a class that was seen among the unseen, levels that depend on the order of the classes, and a
name that is guessed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError
from torchmultiverse.scenes import class_table
from torchmultiverse.transfer import (
    ConceptLevels,
    LevelOptions,
    WordNet,
    levels_from,
    make_levels,
    match_classes,
    read_nouns,
    read_synsets,
    shipped_wordnet,
)
from torchmultiverse.transfer.concept_classes import seen_synsets
from torchmultiverse.transfer.wordnet import SeenConcepts


def objects() -> dict[str, str]:
    return {one.name: one.synset for one in class_table() if one.kind == "object" and one.name != "Shirt"}


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("n02124075", "n02123159", 0.70751),  # Egyptian cat, tiger cat
        ("n02690373", "n04552348", 0.75944),  # airliner, warplane
        ("n07753592", "n02504458", 0.01344),  # banana, African elephant
        ("n01443537", "n01484850", 0.36809),  # goldfish, great white shark
        ("n02391049", "n02391049", 1.0),
    ],
)
def test_similarities_are_those_of_the_source(one: str, other: str, wanted: float) -> None:
    wordnet = shipped_wordnet()
    assert wordnet.lin(one, other) == pytest.approx(wanted, abs=6e-6)
    assert wordnet.lin(other, one) == wordnet.lin(one, other)
    assert SeenConcepts(wordnet, [other]).similarity(one) == (pytest.approx(wanted, abs=6e-6), other)


def test_the_corpus_is_that_of_the_source() -> None:
    wordnet = shipped_wordnet()
    assert wordnet.corpus == 23_547
    assert wordnet["n00001740"].below == 23_547
    assert wordnet.information("n00001740") == 0
    assert wordnet.lin("n00001740", "n00001740") == 0  # says nothing: no likeness either
    assert len(set(wordnet.imagenet1k)) == 1000
    assert all(one.synset in wordnet for one in class_table())


def test_what_has_two_parents_counts_once() -> None:
    toy = WordNet.of_hypernyms({"all": [], "a": ["all"], "b": ["all"], "ab": ["a", "b"], "leaf": ["ab"]})
    assert {name: toy[name].below for name in ("all", "a", "b", "ab", "leaf")} == {
        "all": 5, "a": 3, "b": 3, "ab": 2, "leaf": 1,
    }  # fmt: skip
    with pytest.raises(DatasetError, match="above itself"):
        WordNet.of_hypernyms({"a": ["b"], "b": ["a"]})
    with pytest.raises(DatasetError, match="not there"):
        WordNet.of_hypernyms({"a": ["b"]})


def test_the_largest_similarity_is_that_of_all_pairs() -> None:
    """The short way through ancestors gives what comparing with each seen concept gives."""
    wordnet = shipped_wordnet()
    rng = np.random.default_rng(0)
    names = [one.synset for one in class_table()]
    seen = [names[k] for k in rng.choice(len(names), 30, replace=False)]
    learnt = SeenConcepts(wordnet, seen)
    for name in names[::7]:
        every = {one: wordnet.lin(name, one) for one in seen}
        value, near = learnt.similarity(name)
        assert value == pytest.approx(max(every.values()))
        assert every[near] == pytest.approx(value)


def _ranges(levels: ConceptLevels) -> list[tuple[float, float, float]]:
    return [(round(one.nearest, 3), round(one.farthest, 3), round(one.within, 3)) for one in levels.levels]


def test_rendered_classes_fall_into_the_levels_of_the_plan() -> None:
    """50 of 150 classes seen, 100 unseen in 5 levels of 20; the order of the published list decides which are seen."""
    classes = objects()
    order = json.loads((Path(__file__).parent / "published_order.json").read_text())
    assert sorted(order) == sorted(classes)
    found = make_levels(classes, [classes[name] for name in order[::3]], shipped_wordnet(), 5)
    assert _ranges(found) == [
        (0.87, 0.68, 0.147), (0.664, 0.586, 0.204), (0.582, 0.5, 0.118), (0.497, 0.398, 0.096), (0.397, 0.0, 0.093),
    ]  # fmt: skip
    assert not found.ties
    assert {len(one.concepts) for one in found.every} == {20}
    # The same whatever the order of the classes.
    again = make_levels(dict(reversed(classes.items())), [classes[n] for n in order[::3]][::-1], shipped_wordnet(), 5)
    assert again.digest == found.digest
    # Other seen classes, and three of four boundaries cut through equals: that is told.
    cut = make_levels(classes, [classes[name] for name in order[:51]], shipped_wordnet(), 5)
    assert {tie.place for tie in cut.ties} == {"after L2", "before L3", "after L3", "after L4"}


def test_animals_beyond_imagenet_are_26() -> None:
    animals = {one.name: one.synset for one in class_table() if one.kind == "animal"}
    found = make_levels(animals, shipped_wordnet().imagenet1k, shipped_wordnet())
    assert [len(level.concepts) for level in found.every] == [8, 8, 8, 8]
    assert len(found.unused) == 2
    assert len(found.dropped) == 24
    assert {one.reason for one in found.dropped if one.synset != "n02528163"} == {"above a seen class"}
    ranked = [one for level in found.levels for one in level.concepts]
    assert (ranked[0].label, round(ranked[0].similarity, 3)) == ("EarlessSeal", 0.858)
    assert (ranked[-1].label, round(ranked[-1].similarity, 3)) == ("FruitBat", 0.38)


def test_who_is_left_out() -> None:
    toy = WordNet.of_hypernyms(
        {"all": [], "n00007846": ["all"], "artist": ["n00007846"], "pet": ["all"], "cat": ["pet"], "dog": ["pet"],
         "bird": ["all"], "crow": ["bird"], "owl": ["bird"], "cup": ["all"], "mug": ["cup"], "thing": ["all"]}
    )  # fmt: skip
    classes = {name: name for name in ("artist", "pet", "cat", "dog", "bird", "crow", "owl", "cup", "mug", "thing")}
    found = make_levels({**classes, "Crow 2": "crow"}, ["dog"], toy, 2)
    why = {one.label: one.reason for one in found.dropped}
    assert why == {
        "artist": "a person", "pet": "above a seen class", "bird": "above another class: owl",
        "cup": "above another class: mug", "crow": "the same concept as Crow 2",
    }  # fmt: skip
    assert found.levels[0].labels[0] == "cat"
    ranked = {one.label for level in found.levels for one in level.concepts}
    assert ranked == {"cat", "owl", "mug", "thing", "Crow 2"} - set(found.unused)
    with pytest.raises(DatasetError, match="too few for 3 levels of 2; 1 more is above a seen class"):
        make_levels(classes, ["dog"], toy, 3)
    with pytest.raises(DatasetError, match=r"0 classes were not seen .* --seen says what the model learnt"):
        make_levels({"dog": "dog", "pet": "pet"}, ["dog"], toy)
    with pytest.raises(DatasetError, match="no synset"):
        make_levels({"x": "nowhere"}, ["dog"], toy, 1)


def test_levels_span_the_whole_ranking() -> None:
    """With fewer classes in each, gaps between levels are equal, and first and last stay at the ends."""
    classes = objects()
    seen = sorted(classes.values())[:50]
    whole = make_levels(classes, seen, shipped_wordnet(), 5)
    small = make_levels(classes, seen, shipped_wordnet(), 5, 18)
    assert small.levels[0].concepts == whole.levels[0].concepts[:18]
    assert small.levels[-1].concepts == whole.levels[-1].concepts[-18:]
    assert len(small.unused) == 10
    with pytest.raises(DatasetError, match="5 levels of 21"):
        make_levels(classes, seen, shipped_wordnet(), 5, 21)


def test_names_are_matched_or_told_never_guessed() -> None:
    found = match_classes(["Zebra", "giant_tortoise", "n02124075", "2124075", "tabby", "crane", "zebr", "n99999999"],
                          shipped_wordnet())  # fmt: skip
    assert found.synsets == {
        "Zebra": "n02391049", "giant_tortoise": "n01670802", "n02124075": "n02124075", "2124075": "n02124075",
        "tabby": "n02123045",
    }  # fmt: skip
    assert "n02012849" in found.unmatched["crane"]  # the bird
    assert "n03126707" in found.unmatched["crane"]  # the machine
    assert "zebra" in found.unmatched["zebr"]
    assert "n99999999" in found.unmatched
    told = found.told()
    assert told.startswith("3 of 8 classes have no concept")


def test_a_file_says_what_classes_mean(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text("class,synset,parent\nthing 1,n02391049,\nnew fish,,n02512053\nmy cat,Egyptian cat,\n")
    given = read_synsets(path)
    found = match_classes(given, shipped_wordnet(), given)
    assert found.synsets == {"thing 1": "n02391049", "new fish": "own:new fish", "my cat": "n02124075"}
    goldfish = found.wordnet.lin("own:new fish", "n01443537")
    assert 0.3 < goldfish < 1
    assert found.wordnet["own:new fish"].below == 1
    as_json = tmp_path / "classes.json"
    as_json.write_text(json.dumps({"thing 1": "n02391049", "new fish": {"parent": "n02512053"}}))
    assert read_synsets(as_json)["new fish"] == {"parent": "n02512053"}
    for text, said in (("class\nx\n", "neither"), ("name,synset\n", "columns class and synset")):
        path.write_text(text)
        with pytest.raises(DatasetError, match=said):
            read_synsets(path)
    with pytest.raises(DatasetError, match="class 'a': 'crane' is no word of one concept"):
        match_classes(["a"], shipped_wordnet(), {"a": {"synset": "crane"}})


def test_what_was_seen_can_be_said_in_four_ways(tmp_path: Path) -> None:
    names = ["Zebra", "Crow", "Lion"]
    matched = match_classes(names, shipped_wordnet())
    columns = {"split": np.array(["train", "train", "test"], object)}
    assert len(seen_synsets("imagenet1k", matched)) == 1000
    assert set(seen_synsets("Zebra,tabby", matched)) == {"n02391049", "n02123045"}
    assert set(seen_synsets("split=train", matched, columns, names)) == {"n02391049", matched.synsets["Crow"]}
    path = tmp_path / "seen.txt"
    path.write_text("Lion  # a comment\n\nn02124075\n")
    assert set(seen_synsets(str(path), matched)) == {"n02129165", "n02124075"}
    with pytest.raises(DatasetError, match=r"never 'tran'. Did you mean 'train'"):
        seen_synsets("split=tran", matched, columns, names)
    with pytest.raises(DatasetError, match="no column 'splt'"):
        seen_synsets("splt=train", matched, columns, names)
    with pytest.raises(DatasetError, match="--seen 'imagenet1kk'"):
        seen_synsets("imagenet1kk", matched)


def test_a_whole_data_noun_is_read(tmp_path: Path) -> None:
    lines = [
        "  1 This is the licence of the file.",
        "00001740 03 n 01 entity 0 001 ~ 00001930 n 0000 | that which is",
        "00001930 03 n 01 physical_entity 0 002 @ 00001740 n 0000 ~ 00002684 n 0000 | an entity",
        "00002684 03 n 02 object 0 physical_object 0 001 @ 00001930 n 0000 | a tangible entity",
        "00003553 03 n 01 whole 0 002 @ 00001930 n 0000 + 00001740 v 0101 | an assemblage",
    ]
    path = tmp_path / "data.noun"
    path.write_text("\n".join(lines) + "\n")
    found = read_nouns(path)
    assert found.corpus == 4
    assert found["n00002684"].lemmas == ("object", "physical object")
    assert [found[name].below for name in ("n00001740", "n00001930", "n00003553")] == [4, 3, 1]
    path.write_text("nonsense\n")
    with pytest.raises(DatasetError, match="line 1"):
        read_nouns(path)


def test_levels_of_a_file_of_names_are_saved_and_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("\n".join(one.name for one in class_table() if one.kind == "animal"))
    found, matched = levels_from(path, LevelOptions())
    assert not matched.unmatched
    found.save(tmp_path / "levels")
    again, _ = levels_from(path, LevelOptions(levels=tmp_path / "levels" / "levels.json"))
    assert again.digest == found.digest
    path.write_text("Zebra\nCrow\n")
    with pytest.raises(DatasetError, match="classes that the data lack"):
        levels_from(path, LevelOptions(levels=tmp_path / "levels"))
