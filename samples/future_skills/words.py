"""Invented names for the synthetic HR database: any likeness to a person or a company is chance."""

ROLES = (
    ("System administrator", "IT"), ("Network engineer", "IT"), ("Support technician", "IT"), ("Security analyst", "IT"),
    ("Cloud architect", "IT"), ("IT project manager", "IT"), ("Database administrator", "IT"),
    ("Backend developer", "Tech"), ("Frontend developer", "Tech"), ("Mobile developer", "Tech"), ("Test engineer", "Tech"),
    ("Senior software engineer", "Tech"), ("Engineering manager", "Tech"), ("Platform engineer", "Tech"), ("Product owner", "Tech"),
    ("Recruiter", "RH"), ("Training officer", "RH"), ("Payroll officer", "RH"), ("HR business partner", "RH"),
    ("HR manager", "RH"), ("Skills planner", "RH"),
    ("Data analyst", "Data"), ("Data engineer", "Data"), ("Data scientist", "Data"), ("Senior data scientist", "Data"),
    ("Machine learning engineer", "Data"), ("Data steward", "Data"), ("Head of data", "Data"),
    ("Accountant", "Finance"), ("Controller", "Finance"), ("Treasury analyst", "Finance"), ("Risk analyst", "Finance"),
    ("Finance manager", "Finance"), ("Internal auditor", "Finance"),
    ("Content writer", "Marketing"), ("Campaign manager", "Marketing"), ("Market researcher", "Marketing"),
    ("Brand lead", "Marketing"), ("Web analyst", "Marketing"), ("Community officer", "Marketing"),
)  # fmt: skip

SKILLS = (
    ("Python", "Technique"), ("SQL", "Technique"), ("Cloud services", "Technique"), ("Containers", "Technique"),
    ("Network security", "Technique"), ("Identity management", "Technique"), ("JavaScript", "Technique"), ("Mobile development", "Technique"),
    ("Test automation", "Technique"), ("Continuous delivery", "Technique"), ("Machine learning", "Technique"), ("Language models", "Technique"),
    ("Statistics", "Technique"), ("Data modelling", "Technique"), ("Data visualisation", "Technique"), ("Spreadsheets", "Technique"),
    ("Web analytics", "Technique"), ("Process automation", "Technique"),
    ("Communication", "Soft Skill"), ("Teamwork", "Soft Skill"), ("Leadership", "Soft Skill"), ("Negotiation", "Soft Skill"),
    ("Critical thinking", "Soft Skill"), ("Adaptability", "Soft Skill"), ("Coaching", "Soft Skill"), ("Time management", "Soft Skill"),
    ("Presentation", "Soft Skill"), ("Conflict resolution", "Soft Skill"),
    ("Project management", "Business"), ("Budgeting", "Business"), ("Labour law", "Business"), ("Recruiting", "Business"),
    ("Accounting standards", "Business"), ("Risk management", "Business"), ("Market research", "Business"), ("Brand strategy", "Business"),
    ("Customer relations", "Business"), ("Supplier management", "Business"), ("Data protection", "Business"), ("Sustainability", "Business"),
)  # fmt: skip

# what people of a department usually know
CORE_SKILLS = {
    "IT": ("Cloud services", "Containers", "Network security", "Identity management", "SQL", "Process automation"),
    "Tech": ("Python", "JavaScript", "Mobile development", "Test automation", "Continuous delivery", "Containers", "SQL"),
    "RH": ("Labour law", "Recruiting", "Communication", "Coaching", "Conflict resolution", "Data protection"),
    "Data": ("Python", "SQL", "Statistics", "Machine learning", "Data modelling", "Data visualisation"),
    "Finance": ("Spreadsheets", "Budgeting", "Accounting standards", "Risk management", "Negotiation"),
    "Marketing": ("Web analytics", "Market research", "Brand strategy", "Customer relations", "Presentation"),
}

FIRST_NAMES = (
    "Alma", "Bastien", "Clara", "Driss", "Elsa", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kenza", "Luca", "Maya", "Nils",
    "Olga", "Pablo", "Rania", "Sven", "Tilda", "Youssef",
)  # fmt: skip
LAST_NAMES = (
    "Arbel", "Bonnard", "Castel", "Dufresne", "Elmadi", "Ferrand", "Garnet", "Holm", "Idrissi", "Jansen", "Kessler", "Lorca",
    "Marchal", "Nadir", "Ostrow", "Perrin", "Quint", "Rossel", "Sabri", "Tessier",
)  # fmt: skip
