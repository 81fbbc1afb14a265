//! 外壳的文案：导航、登录、账户、横幅。
//!
//! Messages of what stands round every page: navigation, sign-in, account, banners, and the page of a path
//! that leads nowhere.

crate::messages! {
    skip: "Skip to content", "跳到正文";
    navigation: "Navigation", "导航";
    open_navigation: "Open navigation", "打开导航";
    group_watch: "Watch", "观察";
    group_set_up: "Set up", "配置";
    group_work: "Work", "工具";
    overview: "Overview", "总览";
    servers: "Servers", "服务器";
    keys: "Keys", "密钥";
    usage: "Usage", "用量";
    logs: "Logs", "日志";
    playground: "Playground", "试验场";
    audit: "Audit", "审计";
    api: "API reference", "接口文档";
    language: "Language", "语言";
    theme: "Colours", "外观";
    theme_system: "As the system", "跟随系统";
    theme_light: "Light", "浅色";
    theme_dark: "Dark", "深色";
    account: "Account", "账户";
    role_admin: "Administrator", "管理员";
    role_viewer: "Viewer", "只读";
    read_only: "Read only", "只读";
    signed_in_until(time: &str): "Signed in until {time}", "登录有效期至 {time}";
    sign_out: "Sign out", "退出登录";

    sign_in: "Sign in", "登录";
    sign_in_title: "Sign in to Sluice", "登录 Sluice";
    sign_in_hint: "The gateway that lets requests wait their turn instead of refusing them.", "让请求排队等候，而不是被拒绝的网关。";
    token: "Access token", "访问令牌";
    token_hint: "ADMIN_TOKEN may change everything, VIEWER_TOKEN may look.", "ADMIN_TOKEN 可修改全部设置，VIEWER_TOKEN 仅可查看。";
    token_missing: "Enter a token", "请输入令牌";
    token_wrong: "This token is not known", "令牌不正确";
    again_title: "Sign in again", "请重新登录";
    again_hint: "Your session has ended. Nothing on this page is lost: sign in, and what you were doing goes on.", "会话已过期。页面上的内容不会丢失：重新登录后，刚才的操作会继续。";
    give_up: "Leave", "离开";

    auth_off: "Client authentication is off: whoever reaches the gateway may use every server.", "客户端认证已关闭：任何能访问网关的人都可以使用所有服务器。";
    offline: "The gateway does not answer. What you see may be old; the console tries again by itself.", "网关没有应答，当前内容可能已过时；控制台会自动重试。";
    unreachable_title: "The gateway does not answer", "网关没有应答";

    lost_title: "There is nothing here", "这里什么也没有";
    lost_hint: "No page has this address. It may have been mistyped or moved.", "没有页面使用这个地址，可能输入有误或已移动。";
    lost_home: "To the overview", "返回总览";
}
