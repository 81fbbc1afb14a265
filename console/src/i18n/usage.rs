//! 用量页的文案。
//!
//! Messages of the page of statistics; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Usage", "用量";
    hint: "What was used, by server, app and model", "按服务器、应用和模型统计的用量";

    measure: "Measure", "指标";
    requests: "Requests", "请求";
    tokens: "Tokens", "Token";
    errors: "Errors", "错误";
    wait: "Queue wait p95", "排队 p95";
    latency: "Latency p95", "耗时 p95";
    chart_wait: "Queue wait", "排队时间";
    chart_latency: "Latency", "耗时";

    detail: "Figure", "细分";
    all_requests: "All", "全部";
    queued: "Queued", "排过队";
    total: "Total", "合计";
    prompt: "Prompt", "输入";
    prompt_new: "Prompt, not cached", "输入（未缓存）";
    completion: "Completion", "输出";
    cached: "Cached", "缓存";
    timeouts: "Timeouts", "超时";
    evictions: "Evictions", "被挤出";
    cancelled: "Cancelled", "已取消";
    served: "Served", "成功";
    other_errors: "Other errors", "其他错误";
    p50: "p50", "p50";
    p95: "p95", "p95";
    p99: "p99", "p99";

    group_by: "Group by", "分组";
    server: "Server", "服务器";
    app: "App", "应用";
    model: "Model", "模型";
    nothing: "None", "不分组";
    granularity: "Step", "粒度";
    automatic: "Auto", "自动";
    hour: "Hour", "小时";
    day: "Day", "天";
    hours_too_many: "By hour for 31 days at most", "按小时最多 31 天";

    of_requests(share: &str): "{share} of requests", "占请求的 {share}";
    split_tokens(prompt: &str, completion: &str): "{prompt} in · {completion} out", "入 {prompt} · 出 {completion}";
    per_request(tokens: &str): "{tokens} per request", "每请求 {tokens}";
    queued_share(share: &str): "{share} had to wait", "{share} 需要排队";
    median(span: &str): "median {span}", "中位数 {span}";
    against_before: "Compared with the same length of time before", "与之前同样长的一段时间相比";
    more(share: &str): "{share} more than before", "比之前多 {share}";
    less(share: &str): "{share} less than before", "比之前少 {share}";

    chart(measure: &str): "{measure} over time", "{measure}随时间的变化";
    per_hour: "per hour", "每小时";
    per_day: "per day, UTC", "每天（UTC）";
    chart_hint(step: &str): "{step}, local time", "{step}，本地时间";
    largest(count: &str): "The {count} groups with the most requests", "仅显示请求最多的 {count} 组";
    others(count: &str): "{count} others", "其余 {count} 项";
    legend: "Series", "图例";
    show_all: "Show all", "全部显示";
    deleted_server(id: &str): "{id} (deleted)", "{id}（已删除）";

    table_by_group: "Totals by group", "分组合计";
    table_by_time: "By time", "按时间";
    table_hint: "Waits and latencies are those of all requests of a row", "排队与耗时按该行的全部请求统计";
    name: "Name", "名称";
    time: "Time", "时间";
    share: "Share", "占比";
    queued_requests: "Queued", "排队";
    wait_p50: "Wait p50", "排队 p50";
    wait_p95: "Wait p95", "排队 p95";
    latency_p50: "Latency p50", "耗时 p50";
    latency_p95: "Latency p95", "耗时 p95";
    sum: "Total", "合计";
    only(name: &str): "Show only {name}", "只看 {name}";
    logs_of(name: &str): "Requests of {name}", "{name} 的请求";

    download: "Download CSV", "下载 CSV";
    download_hint: "The rows of this view; times in the file are UTC", "当前视图的各行数据；文件中的时间为 UTC";
    truncated: "There are more rows than this page loads: the chart and the groups end early. Totals are whole. Choose a shorter range, days, or a filter.", "行数超出本页可加载的上限：图表和分组在末尾不完整，合计完整。请缩短时间范围、改为按天或添加筛选。";
    empty: "No requests in this range", "该时间段内没有请求";
    empty_hint: "Sums are made once a minute; requests of the last minute are in the log already.", "统计每分钟汇总一次；最近一分钟的请求可先在日志中查看。";
    empty_filtered: "No requests pass these filters", "没有符合筛选条件的请求";
    clear_filters: "Clear filters", "清除筛选";
    to_logs: "Open the log", "打开日志";
    filters: "Filters", "筛选";
}
