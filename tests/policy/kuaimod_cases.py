"""Made-up cases whose words say what they are, for the benchmark's tests."""

from contracts.cases import DecidedCase
from contracts.kuaimod import BENCHMARK_DAY
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded

WORDS = {
    Category.POSITIVE: ("海边一起看日出", "妈妈做的红烧肉", "小猫在阳台睡觉", "周末爬山看风景"),
    Category.SEXUAL_CONTENT: ("性感热舞扭腰中", "黑丝美腿诱惑你", "擦边热舞真性感", "诱惑美腿配黑丝"),
    Category.FALSE_BENEFITS: ("免费领取大奖品", "点击链接去领奖", "扫码就免费提现", "领取红包再提现"),
}


def made_up_cases(n: int, *categories: Category) -> list[DecidedCase]:
    """n cases that go round the categories, by default round all that have words."""
    chosen = categories or tuple(WORDS)
    return [made_up_case(i, chosen[i % len(chosen)]) for i in range(n)]


def made_up_case(i: int, category: Category) -> DecidedCase:
    words = WORDS[category]
    upload = VideoUploaded(
        event_id=f"e{i}",
        video_id=f"v{i}",
        author_id=f"a{i}",
        occurred_at=BENCHMARK_DAY,
        title=words[i // 3 % len(words)] + words[i // 5 % len(words)],
        ocr=None if i // 3 % 4 == 0 else words[i // 7 % len(words)],
        picture_count=i // 3 % 9,
    )
    return DecidedCase(case_id=f"case-{i}", upload=upload, category=category, decided_at=BENCHMARK_DAY)
