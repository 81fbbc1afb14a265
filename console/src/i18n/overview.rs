//! 总览页的文案：实时状态、汇总、趋势、需要关注的事。
//!
//! Messages of the overview: live strips, totals, series, what needs attention, and the first steps.

crate::messages! {
    title: "Overview", "总览";
    hint: "Who waits, how long, and why", "谁在等待、等了多久、为什么";

    live: "Live", "实时";
    live_waiting(count: &str): "{count} waiting", "{count} 个等待";
    live_in_flight(count: &str): "{count} in flight", "{count} 个处理中";
    live_old: "Not updated", "未更新";
    server: "Server", "服务器";
    rpm: "RPM", "RPM";
    tpm: "TPM", "TPM";
    in_flight: "In flight", "处理中";
    queue: "Queue", "队列";
    queue_empty: "Nothing waits", "无等待";
    queue_oldest(span: &str): "oldest {span}", "最久 {span}";
    queue_next(span: &str): "next in {span}", "{span}后放行";
    queue_next_now: "next any moment", "即将放行";
    queue_next_open: "next when a request ends", "有请求结束后放行";
    queue_next_paused: "until it is resumed", "恢复后放行";
    queue_more(count: &str): "+{count}", "+{count}";

    state_flowing: "Flowing", "畅通";
    state_idle: "Idle", "空闲";
    state_queueing: "Queueing", "排队中";
    state_paused: "Paused", "已暂停";
    state_disabled: "Disabled", "已停用";
    state_backing_off: "Backing off", "退避中";
    state_probing: "Probing", "试探中";

    attention: "Needs attention", "需要关注";
    attention_none: "Nothing needs attention", "一切正常";
    key_unreadable: "The API key cannot be read. Enter it again.", "API 密钥无法解密，请重新填写。";
    failing(share: &str): "{share} of its requests failed in the last hours.", "最近几小时有 {share} 的请求失败。";
    journal_stuck(rows: &str): "{rows} rows of its log cannot be moved to the database. They are kept.", "{rows} 条日志无法写入数据库，暂存在限流对象中。";
    paused: "A limit is 0, so every request waits.", "有一项限额为 0，所有请求都在等待。";
    backing_off(span: &str): "The provider answered 429. Requests go on in {span}.", "上游返回 429，{span}后恢复。";
    slow(waited: &str, timeout: &str): "The oldest request has waited {waited} of at most {timeout}.", "最早的请求已等待 {waited}，上限 {timeout}。";

    traffic: "Traffic", "流量";
    requests: "Requests", "请求";
    tokens: "Tokens", "Token";
    errors: "Errors", "错误";
    wait_p95: "Queue wait p95", "排队等待 p95";
    latency: "Latency", "延迟";
    queued_share(share: &str): "{share} had to wait", "{share} 需要排队";
    prompt_and_completion(prompt: &str, completion: &str): "{prompt} in, {completion} out", "输入 {prompt}，输出 {completion}";
    error_count(count: &str): "{count} failed", "{count} 个失败";
    longest_wait(span: &str): "longest {span}", "最长 {span}";
    no_waits: "no request waited", "没有请求排队";

    chart_requests: "Requests over time", "请求趋势";
    chart_tokens: "Tokens over time", "Token 趋势";
    chart_wait: "Queue wait", "排队等待";
    chart_latency: "Latency, wait included", "延迟（含排队）";
    answered: "Answered", "成功";
    failed: "Failed", "失败";
    cancelled: "Cancelled", "取消";
    prompt: "Prompt", "输入";
    completion: "Completion", "输出";
    p50: "p50", "p50";
    p95: "p95", "p95";

    first_title: "Three steps to the first request", "三步发出第一个请求";
    first_hint: "The gateway is running. It needs to know where requests go and who may send them.", "网关已就绪，还需要告诉它请求去哪里、谁可以发送。";
    first_server: "Add a server", "添加服务器";
    first_server_hint: "Its URL, its API key, its models and its limits", "地址、API 密钥、模型与限额";
    first_key: "Create a key", "创建密钥";
    first_key_hint: "What your applications authenticate with", "供应用程序认证使用";
    first_request: "Send a request", "发送请求";
    first_request_hint: "In the playground, or with any OpenAI client", "在试验场里，或用任意 OpenAI 客户端";
    first_viewer: "An administrator has to add the first server.", "需要管理员添加第一台服务器。";
}
