//! 服务器页的文案：列表、排序、表单、测试、删除。
//!
//! Messages of the page of servers; words that other pages show as well are in `common`, and names of pages
//! in `shell`.

crate::messages! {
    title: "Servers", "服务器";
    hint: "A request goes to the first server that lists its model, from the top down", "请求从上到下依次匹配，交给第一个列出该模型的服务器";
    add: "Add server", "添加服务器";
    new_title: "New server", "新建服务器";

    empty_title: "No server yet", "还没有服务器";
    empty_hint: "A server is a backend with an OpenAI-compatible API: its URL, its key, its models and its limits.", "服务器是一个兼容 OpenAI 接口的后端：地址、密钥、模型和限额。";

    column_server: "Server", "服务器";
    column_models: "Models", "模型";
    column_use: "Use now", "当前用量";
    column_state: "State", "状态";
    models_more(count: &str): "+{count} more", "另有 {count} 个";
    move_handle(name: &str): "Move {name}; arrow keys change its place", "移动 {name}，可用方向键调整顺序";
    moved(name: &str, place: &str, count: &str): "{name} is now {place} of {count}", "{name} 现在排第 {place}，共 {count} 台";
    move_up: "Move up", "上移";
    move_down: "Move down", "下移";
    take_requests(name: &str): "{name} takes requests", "{name} 接收请求";
    key_unreadable: "Key unreadable", "密钥无法解密";

    section_connection: "Connection", "连接";
    section_limits: "Limits", "限额";
    section_queue: "Queue", "队列";
    section_upstream: "Upstream", "上游";
    limits_hint: "Empty is unlimited. 0 pauses the server: requests wait.", "留空表示不限；0 表示暂停，请求会排队等候。";

    name: "Name", "名称";
    name_hint: "Shown in the logs and in the header x-gateway-server", "显示在日志与响应头 x-gateway-server 中";
    base_url: "Base URL", "接口地址";
    base_url_hint: "Usually ends in /v1; the path of the request follows it", "通常以 /v1 结尾，请求路径接在其后";
    api_key: "API key", "API 密钥";
    api_key_stored(hint: &str): "Stored, ends in {hint}. Type a new one to replace it.", "已保存，结尾为 {hint}。输入新密钥即可替换。";
    api_key_unreadable: "The stored key cannot be read any more: enter it again.", "已保存的密钥无法解密，请重新填写。";
    api_key_new: "Kept encrypted and never shown again", "加密保存，不再显示";
    models: "Models", "模型";
    models_hint: "Enter or comma adds one. A * at the end stands for any ending.", "回车或逗号添加；末尾的 * 匹配任意后缀。";
    models_placeholder: "gpt-5, text-embedding-*", "gpt-5, text-embedding-*";
    rpm_limit: "Requests per minute", "每分钟请求数";
    tpm_limit: "Tokens per minute", "每分钟 token 数";
    max_concurrency: "Requests at a time", "同时处理的请求";
    now_used(used: &str): "Now: {used}", "当前：{used}";
    effect_pause: "Saving pauses the server: every request waits.", "保存后服务器将暂停，所有请求排队等候。";
    effect_over(used: &str): "Below the present use of {used}: nothing goes on until that has fallen.", "低于当前用量 {used}：降下来之前不会放行新请求。";
    effect_release(count: &str): "Saving lets waiting requests go on at once; {count} wait now.", "保存后等待中的请求会立即放行，当前 {count} 个在等。";
    queue_max: "Places in the queue", "队列长度";
    queue_max_hint: "0: nobody waits", "0 表示不排队";
    queue_timeout: "Longest wait", "最长等待";
    queue_timeout_hint: "At most 600 seconds", "最多 600 秒";
    seconds: "s", "秒";
    on_full: "When the queue is full", "队列已满时";
    on_full_evict: "The oldest request gives way (503)", "最早的请求让位（503）";
    on_full_reject: "The newest request is refused (429)", "拒绝最新的请求（429）";
    overflow: "When a request would have to wait", "需要排队时";
    overflow_wait: "It waits here", "在此等待";
    overflow_next: "It goes to the next server with its model", "转给下一台有该模型的服务器";
    upstream_timeout: "Wait for the upstream", "等待上游";
    upstream_timeout_hint: "For response headers, and between two pieces of a body", "响应头以及正文两段之间的最长间隔";
    enabled: "Takes requests", "接收请求";

    fault_taken: "Another server has this name", "已有同名的服务器";
    fault_missing: "Fill this in", "必填";
    fault_long(most: &str): "At most {most} characters", "最多 {most} 个字符";
    fault_line: "One line only", "只能一行";
    fault_url: "An absolute URL that begins with https://", "以 https:// 开头的完整地址";
    fault_url_extra: "Without user name, query and fragment", "不能包含用户名、查询串或片段";
    fault_number: "A whole number", "请输入整数";
    fault_range(least: &str, most: &str): "From {least} to {most}", "范围 {least} 到 {most}";
    fault_star(model: &str): "{model}: a * may only be at the end", "{model}：* 只能在末尾";
    fault_model(model: &str): "{model} is too long", "{model} 过长";
    fault_models: "At least one model", "至少一个模型";
    fault_many(most: &str): "At most {most}", "最多 {most} 个";
    fault_key: "Visible ASCII characters only", "只能包含可见的 ASCII 字符";

    save: "Save changes", "保存修改";
    create: "Create server", "创建服务器";
    saved: "Server saved", "服务器已保存";
    created: "Server created", "服务器已创建";
    deleted: "Server deleted", "服务器已删除";
    ordered: "Order saved", "顺序已保存";
    unsaved: "There are changes that are not saved.", "有未保存的修改。";
    keep_editing: "Keep editing", "继续编辑";
    discard: "Discard", "放弃修改";
    conflict: "Somebody else has changed this server. Load it again: what you typed stays.", "此服务器已被他人修改。重新加载后，已输入的内容会保留。";
    load_again: "Load again", "重新加载";
    gone: "This server no longer exists", "该服务器已不存在";

    test: "Test connection", "测试连接";
    test_hint: "Asks the server for its models with the stored key; counts against no limit", "用已保存的密钥向服务器查询模型列表，不计入限额";
    test_ok(span: &str): "Reached in {span}", "连接成功，用时 {span}";
    test_failed: "The test failed", "测试未通过";
    test_models(count: &str): "It lists {count} models", "列出了 {count} 个模型";
    test_missing(names: &str): "It does not list: {names}", "未列出：{names}";
    test_add(name: &str): "Add {name}", "添加 {name}";

    delete_title(name: &str): "Delete {name}?", "删除 {name}？";
    delete_warning: "Its queue is refused, requests in flight go on to their end. Usage and logs stay. This cannot be undone.", "队列中的请求会被拒绝，处理中的请求会完成；用量与日志保留。此操作无法撤销。";
}
