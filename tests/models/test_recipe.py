"""Recipes by family."""

from models.recipe import Recipe, fine_tuning_for, recipe_for
from models.registry import resolve


def test_families_have_recipes_of_their_own():
    assert recipe_for(resolve("lenet5")).optimizer == "adamw"
    assert recipe_for(resolve("resnet18")) == Recipe()


def test_fine_tuning_is_gentler_and_shorter_the_nearer_the_goal():
    spec = resolve("mobilenet")
    scratch, tuned, aware = (
        recipe_for(spec),
        fine_tuning_for(spec, quantize_aware=False),
        fine_tuning_for(spec, quantize_aware=True),
    )
    assert scratch.lr == 10 * tuned.lr == 100 * aware.lr
    assert scratch.epochs > tuned.epochs > aware.epochs
    assert scratch.optimizer == tuned.optimizer == aware.optimizer
