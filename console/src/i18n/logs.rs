//! 日志页的文案。
//!
//! Messages of the page of the log; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Logs", "日志";
    hint: "One row per request, newest first", "每个请求一行，最新的在前";

    filters: "Filters", "筛选";
    server: "Server", "服务器";
    app: "App", "应用";
    model: "Model", "模型";
    key: "Key", "密钥";
    status: "Status", "状态";
    error_code: "Error", "错误";
    request_id: "Request ID", "请求 ID";
    clear_filters: "Clear filters", "清除筛选";
    live: "Live", "自动刷新";

    time: "Time", "时间";
    tokens: "Tokens", "Token";
    wait: "Wait", "排队";
    first: "First token", "首字";
    total: "Total", "总耗时";
    course: "Course", "过程";
    estimated: "Estimated: the server reported no usage", "估算值：服务器没有报告用量";
    reserved: "Reserved: nobody knows how the request ended", "预留值：请求的结局未知";
    streamed: "Streamed", "流式";
    plain: "Not streamed", "非流式";
    open(time: &str): "Request of {time}", "{time} 的请求";
    attempts(count: &str): "{count} attempts", "尝试 {count} 次";

    newest: "Newest", "最新";
    newer: "Newer", "较新";
    older: "Older", "较旧";
    pages: "Pages", "翻页";
    shown(count: &str, plural: &str): "{count} row{plural}", "{count} 行";
    end: "No older rows in this range", "该时间段内没有更早的记录";
    short: "Few rows pass these filters, and the search stopped before the end of the range.", "符合筛选条件的行很少，搜索在时间段结束前停下了。";
    short_at(time: &str): "Searched back to {time}.", "已搜索到 {time}。";
    search_on: "Continue searching", "继续搜索";

    download: "Download CSV", "下载 CSV";
    download_hint: "All rows that pass the filters, not only this page; times in the file are UTC", "符合筛选条件的所有行，不限于本页；文件中的时间为 UTC";
    download_class: "All rows that pass the other filters: a file can be filtered by one status only, not by a class. Times are UTC", "符合其他筛选条件的所有行：文件只能按单个状态码筛选，不能按类别。时间为 UTC";
    empty: "No requests in this range", "该时间段内没有请求";
    empty_hint: "A request stands in the log some seconds after its end.", "请求结束几秒后会出现在日志中。";
    empty_filtered: "No requests pass these filters", "没有符合筛选条件的请求";
    empty_filtered_hint(filters: &str): "Filtered by {filters}. Filters compare exactly, capitals included.", "已按{filters}筛选。筛选值须完全一致，区分大小写。";
    joined: ", ", "、";
    last_month: "Search 30 days", "搜索 30 天";

    request: "Request", "请求";
    previous: "Newer request", "较新的请求";
    next: "Older request", "较旧的请求";
    not_there: "This request is not in the log", "日志中没有此请求";
    not_there_hint: "A request stands in the log some seconds after its end, until it is removed after the retention time.", "请求结束几秒后进入日志，超过保留期后删除。";
    copy_id: "Copy ID", "复制 ID";
    timeline: "Timeline", "时间线";
    phase_queue: "Waited in the queue", "排队等待";
    phase_server: "Waited for the server", "等待服务器";
    phase_answer: "Received the answer", "接收回答";
    arrived: "Arrived", "到达";
    sent: "Sent to the server", "发往服务器";
    first_token: "First byte of the answer", "首个字节";
    done: "Done", "结束";
    straight: "straight through", "未排队";
    position(place: &str): "place {place} at entry", "进入时排在第 {place} 位";

    routing: "Where it went", "去向";
    usage: "Usage", "用量";
    timing: "Times", "时间";
    endpoint: "Endpoint", "接口";
    streaming: "Stream", "流式";
    no_key: "none needed", "无需密钥";
    prompt: "Prompt", "输入";
    cached: "Cached", "缓存";
    completion: "Completion", "输出";
    all_tokens: "Total", "合计";
    source: "Source", "来源";
    exact: "Exact: as the server reported", "准确：服务器报告的值";
    started: "Arrived", "到达";
    overhead: "Gateway itself", "网关自身";
    attempts_label: "Attempts", "尝试次数";
    colo: "Location", "位置";
    speed: "Speed", "速度";
    tokens_per_second(count: &str): "{count} tokens/s", "{count} Token/秒";
    same(what: &str): "Only {what}", "只看 {what}";
    related: "Related requests", "相关请求";

    is_200: "200 OK", "200 成功";
    is_499: "499 client left", "499 客户端离开";
    is_2xx: "2xx succeeded", "2xx 成功";
    is_4xx: "4xx caller's error", "4xx 调用方错误";
    is_5xx: "5xx server's error", "5xx 服务端错误";
    told_queue_timeout: "Waited its whole queue timeout.", "排队等待超时。";
    told_queue_evicted: "Pushed out of a full queue by a newer request.", "队列已满，被更新的请求挤出。";
    told_queue_full: "The queue was full.", "队列已满。";
    told_deadline: "The estimated wait exceeded what the client allows.", "预计等待超过了客户端允许的时间。";
    told_unreachable: "The server could not be reached.", "无法连接服务器。";
    told_upstream_timeout: "The server sent no headers in time.", "服务器未在限时内返回响应头。";
    told_truncated: "The stream ended without its end marker.", "数据流没有结束标记就中断了。";
    told_overloaded: "The limiter was overloaded.", "限流器过载。";
    told_cancelled: "The client left before the end.", "客户端在结束前离开。";
    told_upstream: "The server answered with this status itself.", "该状态码由服务器返回。";
}
