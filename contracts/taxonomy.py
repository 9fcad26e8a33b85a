"""The 16 top labels of the moderation taxonomy, in their fixed order, with both names of each.

The groups and categories are those of KuaiMod (arXiv 2504.14904, section 3); the Chinese names are the
labels of its public benchmark. This is the only copy: every array of 16 probabilities in this project
follows `CATEGORIES`, and grown leaves never change what an index means.
"""

from enum import StrEnum

TAXONOMY_VERSION = "kuaimod-16"


class Group(StrEnum):
    LAW_AND_SAFETY = "law_and_safety"
    CONTENT_ETHICS = "content_ethics"
    COMMERCIAL = "commercial"
    INTELLECTUAL_PROPERTY = "intellectual_property"
    POSITIVE = "positive"


class Category(StrEnum):
    """One of the 16 top labels; its value is the English name."""

    group: Group
    chinese: str

    def __new__(cls, english: str, chinese: str, group: Group) -> "Category":
        member = str.__new__(cls, english)
        member._value_ = english
        member.chinese = chinese
        member.group = group
        return member

    ILLEGAL_ACTIVITY = "illegal_activity", "违法犯罪", Group.LAW_AND_SAFETY
    POLITICAL_MISCONDUCT = "political_misconduct", "涉政不当言行", Group.LAW_AND_SAFETY
    ABUSE_AND_HATE = "abuse_and_hate", "辱骂、引战、宣扬仇恨", Group.LAW_AND_SAFETY
    PROHIBITED_GOODS = "prohibited_goods", "出售违禁品", Group.LAW_AND_SAFETY
    HISTORICAL_NIHILISM = "historical_nihilism", "历史虚无主义", Group.LAW_AND_SAFETY
    SEXUAL_CONTENT = "sexual_content", "色情低俗", Group.CONTENT_ETHICS
    MISINFORMATION = "misinformation", "不实信息", Group.CONTENT_ETHICS
    HARM_TO_MINORS = "harm_to_minors", "危害未成年人身心健康", Group.CONTENT_ETHICS
    MINOR_MISCONDUCT = "minor_misconduct", "未成年不适当行为", Group.CONTENT_ETHICS
    EXAGGERATED_CLAIMS = "exaggerated_claims", "夸大商品功效", Group.COMMERCIAL
    OFF_PLATFORM_TRADING = "off_platform_trading", "引导私下交易", Group.COMMERCIAL
    FALSE_BENEFITS = "false_benefits", "虚假承诺福利", Group.COMMERCIAL
    HYPE_SELLING = "hype_selling", "炒作卖货", Group.COMMERCIAL
    UNLABELLED_AI = "unlabelled_ai", "未添加AI标识", Group.INTELLECTUAL_PROPERTY
    PLAGIARISM = "plagiarism", "盗用抄袭作品", Group.INTELLECTUAL_PROPERTY
    POSITIVE = "positive", "正向", Group.POSITIVE

    @property
    def position(self) -> int:
        """Position in every array of 16 probabilities."""
        return _INDEX[self]

    @classmethod
    def from_chinese(cls, label: str) -> "Category":
        """The category of a Chinese benchmark label; raises `ValueError` naming the label."""
        try:
            return _BY_CHINESE[label]
        except KeyError:
            msg = f"tag == {label!r}, must be one of the 16 labels of taxonomy {TAXONOMY_VERSION!r}"
            raise ValueError(msg) from None


CATEGORIES: tuple[Category, ...] = tuple(Category)
VIOLATIVE: tuple[Category, ...] = tuple(c for c in Category if c is not Category.POSITIVE)
VIOLATIVE_GROUPS: tuple[Group, ...] = tuple(g for g in Group if g is not Group.POSITIVE)
N_CATEGORIES = len(CATEGORIES)
POSITIVE_INDEX = CATEGORIES.index(Category.POSITIVE)
_INDEX = {c: i for i, c in enumerate(CATEGORIES)}
_BY_CHINESE = {c.chinese: c for c in CATEGORIES}
