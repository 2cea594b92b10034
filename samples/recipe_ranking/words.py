"""A small vocabulary of our own for invented recipes."""

MAINS = (
    ("lentil", True), ("chickpea", True), ("tofu", True), ("pumpkin", True), ("mushroom", True), ("aubergine", True), ("cauliflower", True),
    ("potato", True), ("bean", True), ("halloumi", True), ("chicken", False), ("beef", False), ("lamb", False), ("salmon", False),
    ("cod", False), ("prawn", False), ("turkey", False), ("duck", False),
)  # fmt: skip
SIDES = (
    "tomato", "spinach", "rice", "coconut", "ginger", "lemon", "garlic", "basil", "pepper", "carrot", "leek", "walnut", "apple", "fennel",
    "courgette", "feta", "olive", "sesame", "mint", "chilli", "yoghurt", "barley", "noodle", "cabbage", "saffron", "thyme",
)  # fmt: skip
DISHES = (
    ("soup", "starter", 30), ("salad", "starter", 20), ("stew", "main", 75), ("curry", "main", 45), ("gratin", "main", 60),
    ("stir-fry", "main", 20), ("pie", "main", 80), ("tart", "main", 55), ("skewers", "main", 30), ("risotto", "main", 40),
    ("dip", "snack", 15), ("fritters", "snack", 30),
)  # fmt: skip
CUISINES = ("French", "Indian", "Italian", "Moroccan", "Nordic", "Thai")
DIFFICULTIES = ("easy", "medium", "hard")
