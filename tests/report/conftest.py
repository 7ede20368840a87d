"""Records of these tests are of the first study."""

from helpers.recipes import same_recipes as same_recipes
