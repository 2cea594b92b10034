"""A small vocabulary of our own for invented recipes."""

_WITHOUT_MEAT = ["lentil", "chickpea", "tofu", "pumpkin", "mushroom", "aubergine", "cauliflower", "potato", "bean", "halloumi"]
_MEAT_AND_FISH = ["chicken", "beef", "lamb", "salmon", "cod", "prawn", "turkey", "duck"]
MAINS = [(name, True) for name in _WITHOUT_MEAT] + [(name, False) for name in _MEAT_AND_FISH]
SIDES = [
    "tomato",
    "spinach",
    "rice",
    "coconut",
    "ginger",
    "lemon",
    "garlic",
    "basil",
    "pepper",
    "carrot",
    "leek",
    "walnut",
    "apple",
    "fennel",
    "courgette",
    "feta",
    "olive",
    "sesame",
    "mint",
    "chilli",
    "yoghurt",
    "barley",
    "noodle",
    "cabbage",
    "saffron",
    "thyme",
]
DISHES = (
    ("soup", "starter", 30),
    ("salad", "starter", 20),
    ("stew", "main", 75),
    ("curry", "main", 45),
    ("gratin", "main", 60),
    ("stir-fry", "main", 20),
    ("pie", "main", 80),
    ("tart", "main", 55),
    ("skewers", "main", 30),
    ("risotto", "main", 40),
    ("dip", "snack", 15),
    ("fritters", "snack", 30),
)
CUISINES = ("French", "Indian", "Italian", "Moroccan", "Nordic", "Thai")
DIFFICULTIES = ("easy", "medium", "hard")
