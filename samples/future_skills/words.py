"""Invented names for the synthetic HR database: any likeness to a person or a company is chance."""

_ROLES = {
    "IT": (
        "System administrator", "Network engineer", "Support technician", "Security analyst", "Cloud architect",
        "IT project manager", "Database administrator",
    ),
    "Tech": (
        "Backend developer", "Frontend developer", "Mobile developer", "Test engineer", "Senior software engineer",
        "Engineering manager", "Platform engineer", "Product owner",
    ),
    "RH": (
        "Recruiter", "Training officer", "Payroll officer", "HR business partner", "HR manager", "Skills planner",
    ),
    "Data": (
        "Data analyst", "Data engineer", "Data scientist", "Senior data scientist", "Machine learning engineer",
        "Data steward", "Head of data",
    ),
    "Finance": (
        "Accountant", "Controller", "Treasury analyst", "Risk analyst", "Finance manager", "Internal auditor",
    ),
    "Marketing": (
        "Content writer", "Campaign manager", "Market researcher", "Brand lead", "Web analyst", "Community officer",
    ),
}  # fmt: skip
ROLES = [(name, department) for department, names in _ROLES.items() for name in names]

_SKILLS = {
    "Technique": (
        "Python", "SQL", "Cloud services", "Containers", "Network security", "Identity management", "JavaScript",
        "Mobile development", "Test automation", "Continuous delivery", "Machine learning", "Language models",
        "Statistics", "Data modelling", "Data visualisation", "Spreadsheets", "Web analytics", "Process automation",
    ),
    "Soft Skill": (
        "Communication", "Teamwork", "Leadership", "Negotiation", "Critical thinking", "Adaptability", "Coaching",
        "Time management", "Presentation", "Conflict resolution",
    ),
    "Business": (
        "Project management", "Budgeting", "Labour law", "Recruiting", "Accounting standards", "Risk management",
        "Market research", "Brand strategy", "Customer relations", "Supplier management", "Data protection",
        "Sustainability",
    ),
}  # fmt: skip
SKILLS = [(name, category) for category, names in _SKILLS.items() for name in names]

# what people of a department usually know
CORE_SKILLS = {
    "IT": ("Cloud services", "Containers", "Network security", "Identity management", "SQL", "Process automation"),
    "Tech": ("Python", "JavaScript", "Mobile development", "Test automation", "Continuous delivery", "Containers", "SQL"),
    "RH": ("Labour law", "Recruiting", "Communication", "Coaching", "Conflict resolution", "Data protection"),
    "Data": ("Python", "SQL", "Statistics", "Machine learning", "Data modelling", "Data visualisation"),
    "Finance": ("Spreadsheets", "Budgeting", "Accounting standards", "Risk management", "Negotiation"),
    "Marketing": ("Web analytics", "Market research", "Brand strategy", "Customer relations", "Presentation"),
}

FIRST_NAMES = [
    "Alma",
    "Bastien",
    "Clara",
    "Driss",
    "Elsa",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kenza",
    "Luca",
    "Maya",
    "Nils",
    "Olga",
    "Pablo",
    "Rania",
    "Sven",
    "Tilda",
    "Youssef",
]
LAST_NAMES = [
    "Arbel",
    "Bonnard",
    "Castel",
    "Dufresne",
    "Elmadi",
    "Ferrand",
    "Garnet",
    "Holm",
    "Idrissi",
    "Jansen",
    "Kessler",
    "Lorca",
    "Marchal",
    "Nadir",
    "Ostrow",
    "Perrin",
    "Quint",
    "Rossel",
    "Sabri",
    "Tessier",
]
