//! 试验场的文案。
//!
//! Messages of the playground; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Playground", "试验场";
    hint: "Send a request and watch its place in the queue", "发送一个请求，观察它在队列中的位置";

    request: "Request", "请求";
    key: "Gateway key", "网关密钥";
    key_hint: "Stays in this tab's memory and is gone with it", "只保存在此标签页的内存中，关闭即消失";
    key_known(name: &str): "This is {name}", "这是 {name}";
    key_missing: "Enter a gateway key", "请填写网关密钥";
    key_refused: "The gateway does not accept this key", "网关不接受该密钥";
    make_key: "Make one for an hour", "创建一小时有效的密钥";
    made_key: "A key for the playground works for an hour", "试验场密钥已创建，一小时内有效";
    made_name: "Playground", "试验场";
    app: "App", "应用";
    app_hint: "Sent as App-Name", "以 App-Name 发送";
    app_bound: "The key is bound to this app", "该密钥限定此应用";
    model: "Model", "模型";
    model_waiting: "Enter a key to see its models", "填写密钥后显示可用模型";
    model_loading: "Asking for the models of this key…", "正在查询该密钥可用的模型…";
    model_none: "No server lists a model that this key may use", "没有服务器提供该密钥可用的模型";
    model_missing: "Choose a model", "请选择模型";
    model_other: "Another model…", "其他模型…";
    model_name: "Name of the model", "模型名称";
    system: "System prompt", "系统提示词";
    stream: "Stream the answer", "流式输出";
    parameters: "Parameters", "参数";
    temperature: "Temperature", "温度";
    max_tokens: "Most tokens", "最多 token";
    wait: "Wait at most", "最长等待";
    wait_hint: "In the queue; 0 refuses at once where it would have to wait", "在队列中的等待上限；0 表示需要排队时立即拒绝";
    seconds: "s", "秒";
    provider_decides: "as the provider", "由提供方决定";
    server_decides: "as the server", "由服务器决定";
    not_a_number: "Enter a number from 0", "请输入不小于 0 的数字";
    not_whole: "Enter a whole number from 1", "请输入不小于 1 的整数";

    conversation: "Conversation", "对话";
    message: "Message", "消息";
    message_hint: "Enter sends, Shift + Enter begins a line", "Enter 发送，Shift + Enter 换行";
    message_missing: "Write a message", "请输入消息";
    placeholder: "Ask something", "输入一个问题";
    send: "Send", "发送";
    stop: "Stop", "停止";
    again: "Send again", "重新发送";
    clear: "New conversation", "新对话";
    empty_title: "See what a request goes through", "看一个请求经历了什么";
    empty_hint: "Send a message. While it waits you see its place in the queue; then its answer as it comes, and what it cost.", "发送一条消息：排队时可以看到位置，随后逐字显示应答，最后给出用时和用量。";
    you: "You", "你";
    answer: "Answer", "应答";
    copy_answer: "Copy answer", "复制应答";

    sending: "Sending", "正在发送";
    place(position: &str): "{position} in the queue", "排在第 {position} 位";
    place_label: "Place in the queue", "在队列中的位置";
    next: "Next in the queue", "下一个就轮到";
    estimate(span: &str): "about {span} to go", "大约还需 {span}";
    estimate_none: "No estimate yet", "暂无预计时间";
    waited(span: &str): "waited {span}", "已等待 {span}";
    ahead: "Requests ahead of this one", "排在前面的请求";
    granted: "Waiting for the first token", "等待首个 token";
    answering: "The answer is coming", "正在接收应答";
    complete: "Complete", "已完成";
    stopped: "Stopped", "已停止";
    stopped_waiting: "Stopped; the request has left the queue", "已停止，请求已离开队列";
    failed: "Failed", "失败";
    cut: "The answer is longer than this page shows; the rest was left out", "应答过长，其余部分未显示";
    ended_length: "The answer ends at the most tokens", "达到最大 token 数，应答被截断";
    ended_filter: "The provider's filter ended the answer", "应答被提供方的内容过滤终止";
    no_text: "The answer has no text", "应答没有文字内容";
    answer_said(text: &str): "Answer complete: {text}", "应答完成：{text}";

    figures: "Figures of this request", "本次请求的数据";
    queue_wait: "Queue", "排队";
    first_token: "First token", "首个 token";
    total: "Total", "总用时";
    speed: "Speed", "速度";
    per_second(count: &str): "{count} tokens/s", "{count} token/秒";
    tokens: "Tokens", "Token";
    tokens_detail(prompt: &str, completion: &str): "{prompt} in, {completion} out", "输入 {prompt}，输出 {completion}";
    straight: "none", "无";
    phase_queue: "Queue", "排队";
    phase_first: "First token", "首个 token";
    phase_answer: "Answer", "应答";
    open_log: "Open its log row", "查看日志";
    log_soon: "It stands there some seconds after its end", "结束几秒后出现在日志中";
    headers: "Response headers", "响应头";
    headers_hint: "What the gateway says about this request", "网关对本次请求的说明";
    headers_early: "Sent before the wait was over; the log has the rest", "在排队结束前发出；完整信息见日志";
    headers_none: "Send a request to see them", "发送请求后显示";
    as_curl: "As curl", "curl 命令";
    as_curl_hint: "With your key in the variable SLUICE_KEY", "密钥取自变量 SLUICE_KEY";

    why_queue_timeout: "It waited as long as it may, and its turn did not come", "已等到允许的最长时间，仍未轮到";
    why_queue_evicted: "The queue was full, and newer requests pushed it out", "队列已满，被更新的请求挤出";
    why_queue_full: "The queue is full and takes nobody", "队列已满，不再接受请求";
    why_deadline: "It would have to wait longer than it is willing to", "预计等待超过所允许的时间";
    why_key: "The gateway does not accept the key", "网关不接受该密钥";
    why_app: "The key may not be used by this app", "该密钥不允许此应用使用";
    why_app_missing: "The request needs the name of an app", "请求缺少应用名称";
    why_model: "No server offers this model to this key", "没有服务器向该密钥提供此模型";
    why_upstream: "The server behind the gateway cannot be reached", "无法连接网关后面的服务器";
    why_upstream_slow: "The server behind the gateway did not answer in time", "网关后面的服务器未及时应答";
    why_truncated: "The answer broke off before its end", "应答在结束前中断";
    why_overloaded: "The limiter has more to do than it can take", "限流器过载";
    why_offline: "The connection to the gateway broke off", "与网关的连接中断";
    why_server(status: &str): "The server behind the gateway answered {status}", "网关后面的服务器返回 {status}";
    why_other: "The request failed", "请求失败";
    try_later(span: &str): "Try again in {span}", "请在 {span}后重试";
}
